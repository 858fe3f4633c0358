// Vectors of VITLAB_WIDTH floats, with the vector types of GCC and Clang. Included once by each file that is compiled for
// an instruction set, so that nothing of it is shared between them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace vitlab {
namespace VITLAB_ISA {
namespace {

constexpr int W = VITLAB_WIDTH;
typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));

inline vf load(const float* p) {
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
inline vf all(float x) { return x - vf{}; }
inline vf smaller(vf a, vf b) { return a < b ? a : b; }
inline vf larger(vf a, vf b) { return a > b ? a : b; }

/** The last `count` < W entries of a row. */
inline vf loadPart(const float* p, int64_t count) {
  vf v{};
  std::memcpy(&v, p, count * sizeof(float));
  return v;
}
inline void storePart(float* p, vf v, int64_t count) { std::memcpy(p, &v, count * sizeof(float)); }

inline float total(vf v) {
  float parts[W];
  store(parts, v);
  for (int half = W / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) parts[i] += parts[i + half];
  return parts[0];
}
inline float largest(vf v) {
  float parts[W];
  store(parts, v);
  return *std::max_element(parts, parts + W);
}

/** Calls f(position, count) for every vector of `[begin, end)`, with count < W for what is left. */
template <class F>
inline void over(int64_t begin, int64_t end, F f) {
  int64_t i = begin;
  for (; i + W <= end; i += W) f(i, W);
  if (i < end) f(i, end - i);
}
inline vf get(const float* p, int64_t count) { return count == W ? load(p) : loadPart(p, count); }
inline void put(float* p, vf v, int64_t count) { count == W ? store(p, v) : storePart(p, v, count); }

}  // namespace
}  // namespace VITLAB_ISA
}  // namespace vitlab
