// Vectors of VITLAB_WIDTH floats, with the vector types of GCC and Clang. Included once by each file that is compiled for
// an instruction set, so that nothing of it is shared between them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels.h"

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
/** The same of elements of rows of width `dim`: f(position, column, count), and no vector is of two rows. */
template <class F>
inline void overRows(int64_t begin, int64_t end, int64_t dim, F f) {
  for (int64_t i = begin; i < end;) {
    const int64_t row = i - i % dim, stop = std::min(end, row + dim);
    over(i, stop, [&](int64_t at, int64_t n) { f(at, at - row, n); });
    i = stop;
  }
}
inline vf get(const float* p, int64_t count) { return count == W ? load(p) : loadPart(p, count); }
inline void put(float* p, vf v, int64_t count) { count == W ? store(p, v) : storePart(p, v, count); }

#if defined(__AVX512F__)
/** The transpose of 16 rows of 16 words of 32 bits. */
inline void transposeWords(__m512i (&rows)[W]) {
  // four times the same shuffle: rows i and i + 8 as rows 2i and 2i + 1, word by word
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  __m512i shuffled[W];
  for (int times = 0; times < 4; times++) {
    for (int k = 0; k < W / 2; k++) {
      shuffled[2 * k] = _mm512_permutex2var_epi32(rows[k], low, rows[k + W / 2]);
      shuffled[2 * k + 1] = _mm512_permutex2var_epi32(rows[k], high, rows[k + W / 2]);
    }
    for (int k = 0; k < W; k++) rows[k] = shuffled[k];
  }
}
#endif

// bfloat16 is the upper half of a float32, rounded to the nearest, to even between two

typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint16_t vh __attribute__((vector_size(W * 2)));

inline vf widened(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }
inline vh halved(vf v) {
  const vu bits = (vu)v;
  const vu rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  // rounding must not make another number of a NaN
  return __builtin_convertvector(v == v ? rounded : vu{} + 0x7FC0, vh);
}

inline float at(Numbers x, int64_t i) {
  if (!x.half) return static_cast<const float*>(x.data)[i];
  const uint32_t bits = uint32_t(static_cast<const uint16_t*>(x.data)[i]) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline vf get(Numbers x, int64_t i, int64_t count) {
  if (!x.half) return get(static_cast<const float*>(x.data) + i, count);
  const uint16_t* p = static_cast<const uint16_t*>(x.data) + i;
  vh h{};
  if (count == W) std::memcpy(&h, p, sizeof h);
  else std::memcpy(&h, p, count * sizeof(uint16_t));
  return widened(h);
}
inline void put(Numbers x, int64_t i, vf v, int64_t count) {
  if (!x.half) return put(static_cast<float*>(x.data) + i, v, count);
  uint16_t* p = static_cast<uint16_t*>(x.data) + i;
  const vh h = halved(v);
  if (count == W) std::memcpy(p, &h, sizeof h);
  else std::memcpy(p, &h, count * sizeof(uint16_t));
}

}  // namespace
}  // namespace VITLAB_ISA
}  // namespace vitlab
