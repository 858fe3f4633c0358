// The tiles of AMX in software, for building what uses them (native/half.h) where the processor has none.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace emulated {

inline thread_local uint8_t tiles[8][16][64];

inline void zero(int tile) { std::memset(tiles[tile], 0, sizeof tiles[tile]); }
inline void load(int tile, const void* from, int64_t stride) {
  for (int i = 0; i < 16; i++) std::memcpy(tiles[tile][i], static_cast<const char*>(from) + i * stride, 64);
}
inline void store(int tile, void* to, int64_t stride) {
  for (int i = 0; i < 16; i++) std::memcpy(static_cast<char*>(to) + i * stride, tiles[tile][i], 64);
}
inline float number(const uint8_t* half) {
  uint16_t bits;
  std::memcpy(&bits, half, sizeof bits);
  const uint32_t word = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}
/** c += a b, of pairs of bfloat16. */
inline void multiply(int c, int a, int b) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) {
      float sum;
      std::memcpy(&sum, &tiles[c][i][4 * j], sizeof sum);
      for (int k = 0; k < 16; k++)
        for (int half = 0; half < 4; half += 2) sum += number(&tiles[a][i][4 * k + half]) * number(&tiles[b][k][4 * j + half]);
      std::memcpy(&tiles[c][i][4 * j], &sum, sizeof sum);
    }
}

}  // namespace emulated

#define __AMX_BF16__ 1
#define _tile_loadconfig(config) (void)(config)
#define _tile_release()
#define _tile_zero(tile) emulated::zero(tile)
#define _tile_loadd(tile, from, stride) emulated::load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated::store(tile, to, stride)
#define _tile_dpbf16ps(c, a, b) emulated::multiply(c, a, b)
