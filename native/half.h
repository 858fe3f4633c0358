// What files that multiply bfloat16 share. They are compiled for the tiles of AMX, and for the vectors of AVX-512 that
// multiply and add pairs. Included once by each of them, as vectors.h is.
#pragma once
#include <immintrin.h>

#include "vectors.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

#if defined(__AMX_BF16__)
/** All tiles with 16 rows of 64 bytes, while it lives. Others on this thread, such as oneDNN, set up their own. */
class Tiles {
 public:
  Tiles() {
    alignas(64) static const struct {
      uint8_t palette = 1, rest[15] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
};
#else
/** Others need no setting up. */
struct Tiles {
  Tiles() {}
};

/**
 * Where a matrix of words of 32 bits goes on: with the next row, the next vector of columns, and the next 16 words of the
 * depth. A word is a float, or two bfloat16 of neighbouring depths.
 */
struct Steps {
  int64_t row, vector, depth;
};

/** Rows that are multiplied at a time. With 2 or 3 vectors of columns their sums fill the registers. */
constexpr int64_t kRegisterRows = 8;

/** So many rows and `N` vectors of columns of c = or += a b, over a depth of so many words. */
template <int N>
inline void multiplyPairs(const uint32_t* a, Steps inA, const uint32_t* b, Steps inB, float* c, Steps inC, int64_t words,
                          bool adds) {
  vf sums[kRegisterRows][N];
  for (int i = 0; i < kRegisterRows; i++)
    for (int j = 0; j < N; j++) sums[i][j] = adds ? load(c + i * inC.row + j * inC.vector) : vf{};
  for (; words > 0; words -= W, a += inA.depth, b += inB.depth) {
    const int count = std::min<int64_t>(words, W);
    for (int k = 0; k < count; k++) {
      __m512bh columns[N];
      for (int j = 0; j < N; j++) columns[j] = (__m512bh)_mm512_loadu_si512(b + j * inB.vector + k * W);
      for (int i = 0; i < kRegisterRows; i++) {
        const __m512bh pair = (__m512bh)_mm512_set1_epi32(a[i * inA.row + k]);
        for (int j = 0; j < N; j++) sums[i][j] = (vf)_mm512_dpbf16_ps((__m512)sums[i][j], pair, columns[j]);
      }
    }
  }
  for (int i = 0; i < kRegisterRows; i++)
    for (int j = 0; j < N; j++) store(c + i * inC.row + j * inC.vector, sums[i][j]);
}
#endif

/** The numbers of `a`, then those of `b`, in bfloat16. */
inline __m512i halves(vf a, vf b) { return (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a); }

/** Of 32, each of the first 16 beside the one that is 16 further. */
inline __m512i paired(__m512i x) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, x);
}

/** The first `count` of 32 numbers. */
inline __mmask32 firstOf(int64_t count) { return count < 2 * W ? (1u << std::max<int64_t>(0, count)) - 1 : ~0u; }

}  // namespace
}  // namespace VITLAB_ISA
}  // namespace vitlab
