// Attention of bfloat16 tensors on processors that multiply bfloat16 and add in float32: sixteen times as fast as vectors of
// float32 on AMX, twice as fast with AVX-512's vectors. Factors are rounded to bfloat16, softmax is in float32.
#include "halfAttention.h"

#include <cmath>

#include "half.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

/**
 * A matrix of words of 32 bits in strips of 16 columns, so that a tile is 1 KB at a stretch. A word is a float, or two
 * bfloat16: of neighbours in a row in the first factor of a product, of neighbours in a column in the second.
 */
struct Matrix {
  uint32_t* data;
  /** Words of a row that are not padding, where the row is a factor's. */
  int64_t rows, strips, words;
  uint32_t* at(int64_t row, int64_t strip) const { return data + (strip * rows + row) * W; }
  float* floats(int64_t row, int64_t strip) const { return reinterpret_cast<float*>(at(row, strip)); }
};

#if defined(__AMX_BF16__)
/** `rows` rows of c = or += a b, with those of a from `first` on. */
void product(const Matrix& a, int64_t first, const Matrix& b, const Matrix& c, int64_t rows, bool adds) {
  // the compiler does not know that tiles are loaded from memory
  asm volatile("" ::: "memory");
  for (int64_t j = 0; j < c.strips; j += 2) {
    for (int64_t i = 0; i < rows; i += 2 * W) {
      const bool tall = i + W < rows, wide = j + 1 < c.strips;
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      if (adds) {
        _tile_loadd(0, c.at(i, j), 64);
        if (wide) _tile_loadd(1, c.at(i, j + 1), 64);
        if (tall) _tile_loadd(2, c.at(i + W, j), 64);
        if (tall && wide) _tile_loadd(3, c.at(i + W, j + 1), 64);
      }
      for (int64_t k = 0; k < a.strips; k++) {
        _tile_loadd(4, a.at(first + i, k), 64);
        _tile_loadd(6, b.at(k * W, j), 64);
        _tile_dpbf16ps(0, 4, 6);
        if (wide) {
          _tile_loadd(7, b.at(k * W, j + 1), 64);
          _tile_dpbf16ps(1, 4, 7);
        }
        if (tall) {
          _tile_loadd(5, a.at(first + i + W, k), 64);
          _tile_dpbf16ps(2, 5, 6);
        }
        if (tall && wide) _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, c.at(i, j), 64);
      if (wide) _tile_stored(1, c.at(i, j + 1), 64);
      if (tall) _tile_stored(2, c.at(i + W, j), 64);
      if (tall && wide) _tile_stored(3, c.at(i + W, j + 1), 64);
    }
  }
}

#else
/** The same. What is beyond `rows`, up to a tile, is written too in either case. */
void product(const Matrix& a, int64_t first, const Matrix& b, const Matrix& c, int64_t rows, bool adds) {
  const Steps inA{W, 0, a.rows * W}, inB{0, b.rows * W, W * W}, inC{W, c.rows * W, 0};
  // strips of nearly equal width: 4 are 2 and 2, not 3 and 1
  const int64_t groups = (c.strips + 2) / 3;
  for (int64_t group = 0; group < groups; group++) {
    const int64_t j = c.strips * group / groups, wide = c.strips * (group + 1) / groups - j;
    const auto multiply = wide == 3 ? multiplyPairs<3> : wide == 2 ? multiplyPairs<2> : multiplyPairs<1>;
    for (int64_t i = 0; i < rows; i += kRegisterRows)
      multiply(a.at(first + i, 0), inA, b.at(0, j), inB, c.floats(i, j), inC, a.words, adds);
  }
}
#endif

/** Rows of tensors are far apart and seldom in the near caches: they are fetched so many rows ahead. */
constexpr int64_t kAhead = 12;

/** `count` rows of `size` numbers, `stride` apart, as a first factor with zeros around. */
void pack(Numbers from, int64_t stride, int64_t count, int64_t size, const Matrix& to) {
  for (int64_t k = 0; k < to.strips; k++) {
    const __mmask32 kept = firstOf(size - k * 2 * W);
    for (int64_t i = 0; i < count; i++) {
      const Numbers x = from.from(i * stride + k * 2 * W);
      const float* floats = static_cast<const float*>(x.data);
      _mm_prefetch(static_cast<const char*>(x.from(kAhead * stride).data), _MM_HINT_T0);
      const __m512i row = x.half ? _mm512_maskz_loadu_epi16(kept, x.data)
                                 : halves((vf)_mm512_maskz_loadu_ps(kept, floats),
                                          (vf)_mm512_maskz_loadu_ps(kept >> W, floats + W));
      _mm512_storeu_si512(to.at(i, k), row);
    }
    for (int64_t i = count; i < to.rows; i++) _mm512_storeu_si512(to.at(i, k), __m512i{});
  }
}

/** A first factor as a second one. */
void pairRows(const Matrix& from, const Matrix& to) {
  for (int64_t j = 0; j < to.strips; j++)
    for (int64_t i = 0; i < to.rows; i++) {
      const __m256i* even = reinterpret_cast<const __m256i*>(from.at(2 * i, j / 2)) + j % 2;
      const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256(even));
      _mm512_storeu_si512(to.at(i, j), paired(_mm512_inserti64x4(low, _mm256_loadu_si256(even + 2), 1)));
    }
}

/** Words change places: from a first factor to a second one that is its transpose, and back. */
void transpose(const Matrix& from, const Matrix& to) {
  for (int64_t j = 0; j < from.strips; j++)
    for (int64_t i = 0; i < to.strips; i++) {
      __m512i rows[W];
      for (int k = 0; k < W; k++) rows[k] = _mm512_loadu_si512(from.at(i * W + k, j));
      transposeWords(rows);
      for (int k = 0; k < W; k++) _mm512_storeu_si512(to.at(j * W + k, i), rows[k]);
    }
}

/** `count` rows of floats, times a factor of their own, to where a tensor has them. */
template <class Factor>
void unpack(const Matrix& from, int64_t count, int64_t size, Numbers to, int64_t stride, Factor factor) {
  for (int64_t i = 0; i < count; i++) {
    const vf f = all(factor(i));
    for (int64_t j = 0; j < from.strips; j += 2) {
      const __mmask32 kept = firstOf(size - j * W);
      const vf low = load(from.floats(i, j)) * f, high = j + 1 < from.strips ? load(from.floats(i, j + 1)) * f : vf{};
      const Numbers y = to.from(i * stride + j * W);
      _mm_prefetch(static_cast<const char*>(y.from(kAhead * stride).data), _MM_HINT_T0);
      if (y.half) {
        _mm512_mask_storeu_epi16(y.data, kept, halves(low, high));
      } else {
        _mm512_mask_storeu_ps(y.data, kept, (__m512)low);
        _mm512_mask_storeu_ps(static_cast<float*>(y.data) + W, kept >> W, (__m512)high);
      }
    }
  }
}

/** 2^x to 3e-6, which is enough before it is rounded to bfloat16. */
inline vf powerOfTwo(vf x) {
  const vf n = (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const vf r = x - n;  // 2^x = 2^n 2^r, with the polynomial that is nearest to 2^r for |r| ≤ 1/2
  vf p = all(0.0095701f);
  p = p * r + 0.05591786f;
  p = p * r + 0.24024745f;
  p = p * r + 0.69312181f;
  p = p * r + 0.99999926f;
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
}

constexpr float kLog2e = 1.44269504f;
/** A score that is below all others and has no infinity in it, whose distance to another would be NaN. */
constexpr float kLowest = -1e30f;

/** One row of a matrix of floats. */
struct Row {
  float* data;
  int64_t strips, distance;
  Row(const Matrix& m, int64_t i) : data(m.floats(i, 0)), strips(m.strips), distance(m.rows * W) {}
  float* operator[](int64_t strip) const { return data + strip * distance; }
};

/** Where one head of one sequence is in the tensors, and what is added to its scores. */
struct Head {
  int64_t tokens, size, width, step, out, qkv, logSum;
  float scale;
  const float *bias, *mask;
  Head(const AttentionShape& s, int64_t sequence, int64_t head)
      : tokens(s.tokens),
        size(s.size),
        width(s.heads * size),
        step(3 * width),
        out(sequence * tokens * width + head * size),
        qkv(sequence * tokens * step + head * size),
        logSum((sequence * s.heads + head) * tokens),
        scale(s.scale),
        bias(s.bias ? s.bias + head * tokens * tokens : nullptr),
        mask(s.mask ? s.mask + sequence % s.masks * tokens * tokens : nullptr) {}
};

/**
 * Turns the products of query `i` into scores, up to the positive factor that it returns: adds bias and mask and fills
 * the padding with what is lowest.
 */
inline float score(const Head& h, int64_t i, Row scores) {
  const int64_t n = h.tokens, rest = n % W;
  const bool plain = !h.bias && !h.mask && h.scale > 0;
  if (!plain) {
    over(0, n, [&](int64_t j, int64_t count) {
      vf v = load(scores[j / W]) * h.scale;
      if (h.bias) v += get(h.bias + i * n + j, count);
      if (h.mask) v += get(h.mask + i * n + j, count);
      store(scores[j / W], larger(all(kLowest), v));  // in this order a NaN stays
    });
  }
  float* last = scores[scores.strips - 1];
  if (rest) _mm512_mask_storeu_ps(last, 0xFFFF << rest, _mm512_set1_ps(kLowest));
  return plain ? h.scale : 1;
}

inline int64_t tiles(int64_t n) { return (n + W - 1) / W; }
inline int64_t doubleTiles(int64_t n) { return (n + 2 * W - 1) / (2 * W); }

/** Matrices one after the other in scratch memory. */
class Layout {
 public:
  explicit Layout(float* scratch)
      : words_(reinterpret_cast<uint32_t*>((reinterpret_cast<uintptr_t>(scratch) + 63) / 64 * 64)) {}
  Matrix matrix(int64_t rows, int64_t strips, int64_t words = 0) {
    const Matrix made{words_ + used_, rows, strips, words};
    used_ += rows * strips * W;
    return made;
  }
  /** A first factor of so many rows and columns before padding; a second one; a product. */
  Matrix first(int64_t rows, int64_t columns) {
    return matrix(doubleTiles(rows) * 2 * W, doubleTiles(columns), (columns + 1) / 2);
  }
  Matrix second(int64_t rows, int64_t columns) { return matrix(doubleTiles(rows) * W, tiles(columns)); }
  Matrix result(int64_t rows, int64_t columns) { return matrix(tiles(rows) * W, tiles(columns)); }
  /** Floats of scratch that it takes. */
  int64_t floats() const { return used_ + W; }

 private:
  uint32_t* words_;
  int64_t used_ = 0;
};

/** Queries whose scores are computed at a time: two tiles, and their scores stay in the cache. */
constexpr int64_t kRows = 2 * W;
/** Rows that their scores have room for: a power of two would put all strips of a row into the same lines of the cache. */
constexpr int64_t kRoom = kRows + 1;

struct Forward : Layout {
  Matrix queries, packed, keysT, values, scores, weights, mixed;
  Forward(const AttentionShape& s, float* scratch)
      : Layout(scratch),
        queries(first(s.tokens, s.size)),
        packed(first(s.tokens, s.size)),
        keysT(second(s.size, s.tokens)),
        values(second(s.tokens, s.size)),
        scores(matrix(kRoom, tiles(s.tokens))),
        weights(first(kRows, s.tokens)),
        mixed(result(kRows, s.size)) {}
};

/** Queries at a time in the gradient, where their weights are a factor of the gradients of all keys and values. */
constexpr int64_t kQueries = 256;

struct Backward : Layout {
  Matrix packed, keysT, keys, valuesT, dkeysT, dvaluesT, turned, scores, dweights;
  Matrix queries, queriesT, douts, doutsT, pairs, weights, dscores, dscorePairs, dqueries;
  /** For `count` queries at a time, on which only the place of `queries` and what follows depends. */
  Backward(const AttentionShape& s, int64_t count, float* scratch)
      : Layout(scratch),
        packed(first(s.tokens, s.size)),
        keysT(second(s.size, s.tokens)),
        keys(second(s.tokens, s.size)),
        valuesT(second(s.size, s.tokens)),
        dkeysT(result(s.size, s.tokens)),
        dvaluesT(result(s.size, s.tokens)),
        turned(result(s.tokens, s.size)),
        scores(matrix(kRoom, tiles(s.tokens))),
        dweights(matrix(kRoom, tiles(s.tokens))),
        queries(first(count, s.size)),
        queriesT(first(s.size, count)),
        douts(first(count, s.size)),
        doutsT(first(s.size, count)),
        pairs(second(count, s.size)),
        weights(second(count, s.tokens)),
        dscores(first(count, s.tokens)),
        dscorePairs(second(count, s.tokens)),
        dqueries(result(count, s.size)) {}
};

/** Products of query `i` in row `row` become weights before they are divided by their sum. Returns its logarithm. */
inline float softmax(const Head& h, int64_t i, const Forward& m, int64_t row, float* inverse) {
  const Row scores(m.scores, row);
  const float factor = score(h, i, scores);
  vf top = load(scores[0]);
  for (int64_t j = 1; j < scores.strips; j++) top = larger(top, load(scores[j]));
  const float most = _mm512_reduce_max_ps((__m512)top) * factor;
  const auto power = [&](int64_t j) { return powerOfTwo(load(scores[j]) * (factor * kLog2e) - most * kLog2e); };
  vf sum{};
  for (int64_t k = 0; k < m.weights.strips; k++) {
    const vf low = power(2 * k), high = 2 * k + 1 < scores.strips ? power(2 * k + 1) : vf{};
    _mm512_storeu_si512(m.weights.at(row, k), halves(low, high));
    sum += low + high;
  }
  const float all_ = _mm512_reduce_add_ps((__m512)sum);
  *inverse = 1.0f / all_;
  return most + std::log(all_);
}

/**
 * Rows `row` and the next of m.scores and m.dweights, products of queries `i` and i + 1, become weights and gradients of
 * scores: both in rows `pair` of second factors, the latter as floats in m.dweights too.
 */
inline void softmaxGrad(const Head& h, int64_t i, const Backward& m, int64_t row, int64_t pair, const float* logSum,
                        const float* delta) {
  const Row scores[] = {{m.scores, row}, {m.scores, row + 1}}, ds[] = {{m.dweights, row}, {m.dweights, row + 1}};
  float log[2] = {}, shift[2] = {}, factor = 0;
  for (int64_t r = 0; r < 2 && i + r < h.tokens; r++) {
    factor = score(h, i + r, scores[r]) * kLog2e;
    log[r] = logSum[h.logSum + i + r] * kLog2e;
    shift[r] = delta[r];
  }
  for (int64_t j = 0; j < m.scores.strips; j++) {
    vf p[2], d[2];
    for (int r = 0; r < 2; r++) {
      p[r] = powerOfTwo(load(scores[r][j]) * factor - log[r]);
      d[r] = p[r] * (load(ds[r][j]) - shift[r]);
      store(ds[r][j], d[r]);
    }
    _mm512_storeu_si512(m.weights.at(pair, j), paired(halves(p[0], p[1])));
    _mm512_storeu_si512(m.dscorePairs.at(pair, j), paired(halves(d[0], d[1])));
  }
}

int64_t attentionScratch(const AttentionShape& s, bool gradient) {
  return gradient ? Backward(s, std::min(kQueries, s.tokens), nullptr).floats() : Forward(s, nullptr).floats();
}

void attention(const AttentionShape& s, Numbers qkv, Numbers out, float* logSum, int64_t sequence, int64_t head,
               float* scratch) {
  const Head h(s, sequence, head);
  const int64_t n = h.tokens;
  const Numbers q = qkv.from(h.qkv), k = q.from(h.width), v = k.from(h.width);
  const Forward m(s, scratch);
  const Tiles tiled;
  pack(q, h.step, n, h.size, m.queries);
  pack(k, h.step, n, h.size, m.packed);
  transpose(m.packed, m.keysT);
  pack(v, h.step, n, h.size, m.packed);
  pairRows(m.packed, m.values);
  for (int64_t first = 0; first < n; first += kRows) {
    const int64_t rows = std::min(kRows, n - first);
    product(m.queries, first, m.keysT, m.scores, rows, false);
    float inverse[kRows];
    for (int64_t i = 0; i < rows; i++) logSum[h.logSum + first + i] = softmax(h, first + i, m, i, &inverse[i]);
    product(m.weights, 0, m.values, m.mixed, rows, false);
    unpack(m.mixed, rows, h.size, out.from(h.out + first * h.width), h.width, [&](int64_t i) { return inverse[i]; });
  }
}

void attentionGrad(const AttentionShape& s, Numbers dout, Numbers qkv, Numbers out, const float* logSum, Numbers dqkv,
                   float* dbias, int64_t sequence, int64_t head, float* scratch) {
  const Head h(s, sequence, head);
  const int64_t n = h.tokens;
  const Numbers q = qkv.from(h.qkv), k = q.from(h.width), v = k.from(h.width);
  const Numbers dq = dqkv.from(h.qkv), dk = dq.from(h.width), dv = dk.from(h.width);
  const auto scaled = [&](int64_t) { return h.scale; };
  const Tiles tiled;
  const Backward whole(s, 0, scratch);
  pack(v, h.step, n, h.size, whole.packed);
  transpose(whole.packed, whole.valuesT);
  pack(k, h.step, n, h.size, whole.packed);
  transpose(whole.packed, whole.keysT);
  pairRows(whole.packed, whole.keys);
  for (int64_t first = 0; first < n; first += kQueries) {
    const int64_t count = std::min(kQueries, n - first);
    const Backward m(s, count, scratch);
    const Numbers o = out.from(h.out + first * h.width), d = dout.from(h.out + first * h.width);
    pack(q.from(first * h.step), h.step, count, h.size, m.queries);
    pairRows(m.queries, m.pairs);
    transpose(m.pairs, m.queriesT);
    pack(d, h.width, count, h.size, m.douts);
    pairRows(m.douts, m.pairs);
    transpose(m.pairs, m.doutsT);
    float delta[kQueries];
    for (int64_t i = 0; i < count; i++) {
      vf sum{};
      over(0, h.size, [&](int64_t j, int64_t left) {
        sum += get(o, i * h.width + j, left) * get(d, i * h.width + j, left);
      });
      delta[i] = _mm512_reduce_add_ps((__m512)sum);
    }
    for (int64_t block = 0; block < count; block += kRows) {
      const int64_t rows = std::min(kRows, count - block);
      product(m.queries, block, m.keysT, m.scores, rows, false);
      product(m.douts, block, m.valuesT, m.dweights, rows, false);
      for (int64_t i = block; i < block + rows; i += 2)
        softmaxGrad(h, first + i, m, i - block, i / 2, logSum, delta + i);
      for (int64_t i = 0; i < rows; i++) {
        const Row ds(m.dweights, i);
        for (int64_t k = 0; k < m.dscores.strips; k++) {
          const vf high = 2 * k + 1 < ds.strips ? load(ds[2 * k + 1]) : vf{};
          _mm512_storeu_si512(m.dscores.at(block + i, k), halves(load(ds[2 * k]), high));
        }
        if (!dbias) continue;
        float* sum = dbias + (first + block + i) * n;
        over(0, n, [&](int64_t j, int64_t left) { put(sum + j, get(sum + j, left) + load(ds[j / W]), left); });
      }
    }
    for (int64_t pair = (count + 1) / 2; pair < m.weights.rows; pair++)
      for (int64_t j = 0; j < m.weights.strips; j++) {
        _mm512_storeu_si512(m.weights.at(pair, j), __m512i{});
        _mm512_storeu_si512(m.dscorePairs.at(pair, j), __m512i{});
      }
    product(m.doutsT, 0, m.weights, m.dvaluesT, h.size, first > 0);
    product(m.queriesT, 0, m.dscorePairs, m.dkeysT, h.size, first > 0);
    product(m.dscores, 0, m.keys, m.dqueries, count, false);
    unpack(m.dqueries, count, h.size, dq.from(first * h.step), h.step, scaled);
  }
  transpose(whole.dkeysT, whole.turned);
  unpack(whole.turned, n, h.size, dk, h.step, scaled);
  transpose(whole.dvaluesT, whole.turned);
  unpack(whole.turned, n, h.size, dv, h.step, [](int64_t) { return 1.0f; });
}

}  // namespace

const HalfAttention kHalfAttention = {attentionScratch, attention, attentionGrad};

}  // namespace VITLAB_ISA
}  // namespace vitlab
