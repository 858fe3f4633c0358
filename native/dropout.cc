// Dropout with the numbers of TensorFlow's StatelessRandomUniform for the same seed: of Philox 4×32-10 (Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011), four of each counter.
#include "dropout.h"

#include "vectors.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

/** Half as many lanes, of 64 bits. */
typedef uint64_t vl __attribute__((vector_size(W * 4)));

/** The words of counters, or what became of them: in each lane words 0 and 1 of one, and words 2 and 3. */
struct Words {
  vl first, second;
};
struct Key {
  uint32_t first, second;
};

inline vl swapped(vl x) { return x >> 32 | x << 32; }

/** The lower words of x times m, in 64 bits. */
inline vl product(vl x, uint32_t m) {
#if defined(__AVX512F__)
  return (vl)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(m));
#elif defined(__AVX2__)
  return (vl)_mm256_mul_epu32((__m256i)x, _mm256_set1_epi64x(m));
#else
  return (x & 0xFFFFFFFF) * m;
#endif
}

inline Words philox(Words words, Key key) {
  for (int round = 0; round < 10; round++) {
    const vl a = product(words.first, 0xD2511F53), b = product(words.second, 0xCD9E8D57);
    words.first = swapped(b) ^ words.first >> 32 ^ key.first;
    words.second = swapped(a) ^ words.second >> 32 ^ key.second;
    key.first += 0x9E3779B9u;
    key.second += 0xBB67AE85u;
  }
  return words;
}

inline vl each(int64_t x) { return uint64_t(x) + vl{}; }

}  // namespace

void dropout(Numbers x, const int32_t* seed, float p, float scale, Numbers y, int64_t begin, int64_t end) {
  // the library's way from a seed to a key and the upper half of the counters
  const Words start = philox({each(seed[0]), each(seed[1])}, {0x3EC8F720, 0x02461E29});
  const Key key{uint32_t(start.first[0]), uint32_t(start.first[0] >> 32)};
  vl counters{};
  for (int lane = 0; lane < W / 2; lane++) counters[lane] = begin / 4 + lane;
  for (int64_t i = begin; i < end; i += 2 * W, counters += W / 2) {
    const Words made = philox({counters, start.second}, key);
    uint64_t words[W];
    for (int lane = 0; lane < W / 2; lane++) {
      words[2 * lane] = made.first[lane];
      words[2 * lane + 1] = made.second[lane];
    }
    over(i, std::min(end, i + 2 * W), [&](int64_t at, int64_t n) {
      vi bits;
      std::memcpy(&bits, words + (at - i) / 2, sizeof bits);
      const vf uniform = __builtin_convertvector(bits & 0x7FFFFF, vf) * 0x1p-23f;
      put(y, at, get(x, at, n) * (uniform < p ? vf{} : all(scale)), n);
    });
  }
}

}  // namespace VITLAB_ISA
}  // namespace vitlab
