// Updates of optimisers. Compiled without fused multiply-adds, so that they give the bits of the same arithmetic in
// ordinary ops: Adam divides by the root of what may be tiny, and would blow the last bits up.
#include "updates.h"

#include <cmath>

#include "vectors.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

inline vf squareRoot(vf x) {
  vf y;
  for (int i = 0; i < W; i++) y[i] = std::sqrt(x[i]);
  return y;
}

}  // namespace

void adam(float* p, float* m, float* v, const float* gradient, const AdamFactors& f, int64_t begin, int64_t end) {
  over(begin, end, [=](int64_t i, int64_t n) {
    const vf value = get(p + i, n);
    const vf g = get(gradient + i, n) + value * f.penalty;
    const vf first = get(m + i, n) * f.beta1 + g * f.rest1;
    const vf second = get(v + i, n) * f.beta2 + g * g * f.rest2;
    put(m + i, first, n);
    put(v + i, second, n);
    put(p + i, value * f.shrink - first / (squareRoot(second) + f.epsilon) * f.size, n);
  });
}

void momentum(float* p, float* v, const float* gradient, const MomentumFactors& f, int64_t begin, int64_t end) {
  over(begin, end, [=](int64_t i, int64_t n) {
    const vf value = get(p + i, n);
    const vf g = get(gradient + i, n) + value * f.penalty;
    const vf velocity = get(v + i, n) * f.momentum + g * f.share;
    put(v + i, velocity, n);
    put(p + i, value - (f.nesterov ? g + velocity * f.momentum : velocity) * f.rate, n);
  });
}

}  // namespace VITLAB_ISA
}  // namespace vitlab
