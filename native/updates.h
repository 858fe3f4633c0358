// Updates of optimisers, in a file of their own (see updates.cc).
#pragma once
#include "kernels.h"

namespace vitlab {
namespace VITLAB_ISA {

void adam(float* p, float* m, float* v, const float* gradient, const AdamFactors& factors, int64_t begin, int64_t end);
void momentum(float* p, float* v, const float* gradient, const MomentumFactors& factors, int64_t begin, int64_t end);

}  // namespace VITLAB_ISA
}  // namespace vitlab
