// What files that compute on the tiles of AMX share. Included once by each of them, as vectors.h is.
#pragma once
#include <immintrin.h>

#include "vectors.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

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
