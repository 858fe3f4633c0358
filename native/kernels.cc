// Kernels over vectors of VITLAB_WIDTH floats, in plain C++ with the vector types of GCC and Clang. The set-up compiles
// this file for each instruction set that a processor may have, under the name VITLAB_ISA; dispatch.cc picks one.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "depthwise.h"
#include "dropout.h"
#include "updates.h"
#include "vectors.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace vitlab {
namespace VITLAB_ISA {
namespace {

/** e^x to 1 ulp or so: 2^n e^r with |r| ≤ ln 2 / 2 and e^r by its Taylor polynomial. Below -87 it is e^-87; NaN stays. */
inline vf exponential(vf x) {
  x = x < -87.0f ? all(-87.0f) : x;
  x = x > 88.0f ? all(88.0f) : x;
  constexpr float kShift = 12582912.0f;  // 1.5 · 2^23: adding it rounds to whole numbers
  const vf shifted = x * 1.44269504f + kShift;
  const vf n = shifted - kShift;
  const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  vf p = all(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const vi exponent = ((vi)shifted - 0x4B400000) << 23;
  return (vf)((vi)p + exponent);
}

/** The error function; a rational approximation over |x| ≤ 4, with the coefficients of Eigen's `erf`, to 4e-7. */
inline vf errorFunction(vf x) {
  x = x < -4.0f ? all(-4.0f) : x;
  x = x > 4.0f ? all(4.0f) : x;
  const vf s = x * x;
  vf p = all(-2.72614225801306e-10f);
  p = p * s + 2.77068142495902e-08f;
  p = p * s + -2.10102402082508e-06f;
  p = p * s + -5.69250639462346e-05f;
  p = p * s + -7.34990630326855e-04f;
  p = p * s + -2.95459980854025e-03f;
  p = p * s + -1.60960333262415e-02f;
  vf q = all(-1.45660718464996e-05f);
  q = q * s + -2.13374055278905e-04f;
  q = q * s + -1.68282697438203e-03f;
  q = q * s + -7.37332916720468e-03f;
  q = q * s + -1.42647390514189e-02f;
  return x * p / q;
}

inline vf distribution(vf x) { return 0.5f + 0.5f * errorFunction(x * 0.70710678f); }
inline vf density(vf x) { return 0.39894228f * exponential(-0.5f * x * x); }

void biasAdd(Numbers x, const float* bias, int64_t dim, const float* residual, Numbers y, int64_t begin, int64_t end) {
  overRows(begin, end, dim, [=](int64_t i, int64_t column, int64_t n) {
    const vf v = get(x, i, n) + get(bias + column, n);
    put(y, i, residual ? v + get(residual + i, n) : v, n);
  });
}

inline vf biased(Numbers x, const float* bias, int64_t i, int64_t column, int64_t n) {
  return bias ? get(x, i, n) + get(bias + column, n) : get(x, i, n);
}

void gelu(Numbers x, const float* bias, int64_t dim, Numbers y, int64_t begin, int64_t end) {
  overRows(begin, end, dim, [=](int64_t i, int64_t column, int64_t n) {
    const vf v = biased(x, bias, i, column, n);
    put(y, i, v * distribution(v), n);
  });
}

void geluGrad(Numbers dy, Numbers x, const float* bias, int64_t dim, Numbers dx, int64_t begin, int64_t end) {
  overRows(begin, end, dim, [=](int64_t i, int64_t column, int64_t n) {
    const vf v = biased(x, bias, i, column, n);
    put(dx, i, get(dy, i, n) * (distribution(v) + v * density(v)), n);
  });
}

void layerNorm(const float* x, const float* weight, const float* bias, const float* skip, float epsilon, int64_t dim,
               Numbers y, float* mean, float* scale, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const float* in = x + row * dim;
    vf sum{};
    over(0, dim, [&](int64_t i, int64_t n) { sum += get(in + i, n); });
    const float m = total(sum) / dim;
    vf squares{};
    over(0, dim, [&](int64_t i, int64_t n) {
      if (n == W) {
        const vf d = load(in + i) - m;
        squares += d * d;
      } else {
        for (int64_t k = 0; k < n; k++) squares[0] += (in[i + k] - m) * (in[i + k] - m);
      }
    });
    const float s = 1.0f / std::sqrt(total(squares) / dim + epsilon);
    over(0, dim, [&](int64_t i, int64_t n) {
      const vf v = get(in + i, n), normal = (v - m) * s * get(weight + i, n) + get(bias + i, n);
      put(y, row * dim + i, skip ? normal + v * get(skip + i, n) : normal, n);
    });
    mean[row] = m;
    scale[row] = s;
  }
}

void layerNormGradInput(Numbers dy, const float* x, const float* weight, const float* mean, const float* scale,
                        const float* skip, int64_t dim, float* dx, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    const float* in = x + row * dim;
    const Numbers g = dy.from(row * dim);
    const float m = mean[row], s = scale[row];
    vf sum{}, projected{};
    over(0, dim, [&](int64_t i, int64_t n) {
      const vf d = get(g, i, n) * get(weight + i, n);
      sum += d;
      projected += d * (get(in + i, n) - m);
    });
    const float meanGradient = total(sum) / dim, projection = total(projected) * s / dim;
    over(0, dim, [&](int64_t i, int64_t n) {
      const vf d = get(g, i, n), normal = (get(in + i, n) - m) * s;
      const vf v = s * (d * get(weight + i, n) - meanGradient - normal * projection);
      put(dx + row * dim + i, skip ? v + d * get(skip + i, n) : v, n);
    });
  }
}

void layerNormGradWeights(Numbers dy, const float* x, const float* mean, const float* scale, int64_t dim,
                          float* dweight, float* dbias, float* dskip, int64_t begin, int64_t end) {
  for (float* sums : {dweight, dbias, dskip})
    if (sums) std::fill(sums, sums + dim, 0.0f);
  for (int64_t row = begin; row < end; row++) {
    const float* in = x + row * dim;
    const Numbers g = dy.from(row * dim);
    const float m = mean[row], s = scale[row];
    over(0, dim, [&](int64_t i, int64_t n) {
      const vf d = get(g, i, n), v = get(in + i, n);
      put(dbias + i, get(dbias + i, n) + d, n);
      put(dweight + i, get(dweight + i, n) + d * ((v - m) * s), n);
      if (dskip) put(dskip + i, get(dskip + i, n) + d * v, n);
    });
  }
}

void columnSum(Numbers x, int64_t dim, float* sum, int64_t begin, int64_t end) {
  std::fill(sum, sum + dim, 0.0f);
  for (int64_t row = begin; row < end; row++)
    over(0, dim, [&](int64_t i, int64_t n) { put(sum + i, get(sum + i, n) + get(x, row * dim + i, n), n); });
}

/** Rows `[begin, end)` of the transpose of `rows` rows, in square blocks, so that neither side jumps through the cache. */
void transposeBlocks(Numbers from, int64_t stride, int64_t rows, int64_t begin, int64_t end, float* to,
                     int64_t toStride) {
  for (int64_t i0 = 0; i0 < rows; i0 += 16)
    for (int64_t j0 = begin; j0 < end; j0 += 16) {
#if defined(__AVX512F__)
      if (i0 + 16 <= rows && j0 + 16 <= end) {
        __m512i block[16];
        for (int k = 0; k < 16; k++) block[k] = (__m512i)get(from, (i0 + k) * stride + j0, W);
        transposeWords(block);
        for (int k = 0; k < 16; k++) store(to + (j0 + k) * toStride + i0, (vf)block[k]);
        continue;
      }
#endif
      for (int64_t j = j0; j < std::min(end, j0 + 16); j++)
        for (int64_t i = i0; i < std::min(rows, i0 + 16); i++) to[j * toStride + i] = at(from, i * stride + j);
    }
}

void transpose(Numbers x, int64_t rows, int64_t columns, float* y, int64_t begin, int64_t end) {
  transposeBlocks(x, columns, rows, begin, end, y, rows);
}

// Small matrix products: C `[m, n]` = or += A `[m, k]` B `[k, n]`. B and C have whole vectors in a row; A's entry (i, k)
// is at a[i · ai + k · ak], so that it may be transposed.

constexpr int MR = 6;
// accumulators, the row of B and a broadcast fit into 32 registers, or 16
constexpr int NV = VITLAB_REGISTERS >= 32 ? 4 : 2;

template <int M, int N>
inline void tile(const float* a, int64_t ai, int64_t ak, const float* b, int64_t bk, float* c, int64_t ci, int64_t k,
                 bool adds) {
  vf sum[M][N];
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) sum[i][j] = adds ? load(c + i * ci + j * W) : vf{};
  for (int64_t l = 0; l < k; l++) {
    vf row[N];
    for (int j = 0; j < N; j++) row[j] = load(b + l * bk + j * W);
    for (int i = 0; i < M; i++) {
      const vf x = all(a[i * ai + l * ak]);
      for (int j = 0; j < N; j++) sum[i][j] += x * row[j];
    }
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) store(c + i * ci + j * W, sum[i][j]);
}

template <int N>
inline void columns(const float* a, int64_t ai, int64_t ak, const float* b, int64_t bk, float* c, int64_t ci,
                    int64_t m, int64_t k, bool adds) {
  int64_t i = 0;
  for (; i + MR <= m; i += MR) tile<MR, N>(a + i * ai, ai, ak, b, bk, c + i * ci, ci, k, adds);
  a += i * ai;
  c += i * ci;
  switch (m - i) {
    case 5: return tile<5, N>(a, ai, ak, b, bk, c, ci, k, adds);
    case 4: return tile<4, N>(a, ai, ak, b, bk, c, ci, k, adds);
    case 3: return tile<3, N>(a, ai, ak, b, bk, c, ci, k, adds);
    case 2: return tile<2, N>(a, ai, ak, b, bk, c, ci, k, adds);
    case 1: return tile<1, N>(a, ai, ak, b, bk, c, ci, k, adds);
    default: return;
  }
}

void product(const float* a, int64_t ai, int64_t ak, const float* b, int64_t bk, float* c, int64_t ci, int64_t m,
             int64_t n, int64_t k, bool adds) {
  const int64_t vectors = n / W;
  // strips of nearly equal width: 5 vectors are 3 and 2, not 4 and 1
  const int64_t strips = (vectors + NV - 1) / NV;
  int64_t at = 0;
  for (int64_t strip = 0; strip < strips; strip++) {
    const int64_t wide = (vectors - at + strips - strip - 1) / (strips - strip);
    const float* bs = b + at * W;
    float* cs = c + at * W;
    switch (wide) {
      case 4: columns<NV >= 4 ? 4 : 1>(a, ai, ak, bs, bk, cs, ci, m, k, adds); break;
      case 3: columns<NV >= 3 ? 3 : 1>(a, ai, ak, bs, bk, cs, ci, m, k, adds); break;
      case 2: columns<2>(a, ai, ak, bs, bk, cs, ci, m, k, adds); break;
      default: columns<1>(a, ai, ak, bs, bk, cs, ci, m, k, adds);
    }
    at += wide;
  }
}

inline int64_t whole(int64_t n) { return (n + W - 1) / W * W; }

/** Query rows at a time: their scores stay in the cache. */
constexpr int64_t kRows = 48;

/** Rows of `size` numbers, `stride` apart, into rows of whole vectors. */
void pack(Numbers from, int64_t stride, int64_t rows, int64_t size, float factor, float* to) {
  const int64_t width = whole(size);
  for (int64_t i = 0; i < rows; i++)
    over(0, size, [&](int64_t j, int64_t n) { store(to + i * width + j, get(from, i * stride + j, n) * factor); });
}

/** The transpose of the same: `size` rows of `rows` floats and zeros up to whole vectors. */
void packTransposed(Numbers from, int64_t stride, int64_t rows, int64_t size, float* to) {
  const int64_t width = whole(rows);
  for (int64_t j = 0; j < size; j++) std::fill(to + j * width + rows, to + (j + 1) * width, 0.0f);
  transposeBlocks(from, stride, rows, 0, size, to, width);
}

void unpack(const float* from, int64_t rows, int64_t size, Numbers to, int64_t stride) {
  const int64_t width = whole(size);
  for (int64_t i = 0; i < rows; i++)
    over(0, size, [&](int64_t j, int64_t n) { put(to, i * stride + j, load(from + i * width + j), n); });
}

int64_t attentionScratch(const AttentionShape& s, bool gradient) {
  const int64_t t = whole(s.tokens), d = whole(s.size), n = s.tokens;
  if (!gradient) return n * d + s.size * t + kRows * (t + 2 * d) + W;
  return 5 * n * d + 2 * s.size * t + kRows * (2 * t + 3 * d) + W;
}

float* aligned(float* p) {
  return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(p) + 4 * W - 1) / (4 * W) * (4 * W));
}

/** Adds what is added to the scores of one row. */
inline void addBias(const AttentionShape& s, int64_t sequence, int64_t head, int64_t row, float* scores) {
  const int64_t n = s.tokens;
  const float* bias = s.bias ? s.bias + (head * n + row) * n : nullptr;
  const float* mask = s.mask ? s.mask + (sequence % s.masks * n + row) * n : nullptr;
  if (!bias && !mask) return;
  over(0, n, [&](int64_t j, int64_t m) {
    vf v = get(scores + j, m);
    if (bias) v += get(bias + j, m);
    if (mask) v += get(mask + j, m);
    put(scores + j, v, m);
  });
}

void attention(const AttentionShape& s, Numbers qkv, Numbers out, float* logSum, int64_t sequence, int64_t head,
               float* scratch) {
  const int64_t n = s.tokens, size = s.size, t = whole(n), d = whole(size), step = 3 * s.heads * size;
  const Numbers q = qkv.from(sequence * n * step + head * size);
  const Numbers k = q.from(s.heads * size), v = k.from(s.heads * size);
  float* values = aligned(scratch);
  float* keys = values + n * d;
  float* queries = keys + size * t;
  float* mixed = queries + kRows * d;
  float* scores = mixed + kRows * d;
  packTransposed(k, step, n, size, keys);
  pack(v, step, n, size, 1, values);
  for (int64_t first = 0; first < n; first += kRows) {
    const int64_t rows = std::min(kRows, n - first);
    pack(q.from(first * step), step, rows, size, s.scale, queries);
    product(queries, d, 1, keys, t, scores, t, rows, t, size, false);
    for (int64_t i = 0; i < rows; i++) {
      float* row = scores + i * t;
      addBias(s, sequence, head, first + i, row);
      vf top = all(row[0]);
      over(0, n, [&](int64_t j, int64_t m) {
        if (m == W) top = larger(top, load(row + j));
        else for (int64_t l = 0; l < m; l++) top[0] = std::max(top[0], row[j + l]);
      });
      const float most = largest(top);
      vf sum{};
      over(0, n, [&](int64_t j, int64_t m) {
        vf e = exponential(load(row + j) - most);
        if (m < W) {
          vf kept{};
          std::memcpy(&kept, &e, m * sizeof(float));
          e = kept;
        }
        store(row + j, e);
        sum += e;
      });
      const float all_ = total(sum);
      logSum[(sequence * s.heads + head) * n + first + i] = most + std::log(all_);
      const float inverse = 1.0f / all_;
      for (int64_t j = 0; j < t; j += W) store(row + j, load(row + j) * inverse);
    }
    product(scores, t, 1, values, d, mixed, d, rows, d, n, false);
    unpack(mixed, rows, size, out.from(((sequence * n + first) * s.heads + head) * size), s.heads * size);
  }
}

void attentionGrad(const AttentionShape& s, Numbers dout, Numbers qkv, Numbers out, const float* logSum, Numbers dqkv,
                   float* dbias, int64_t sequence, int64_t head, float* scratch) {
  const int64_t n = s.tokens, size = s.size, t = whole(n), d = whole(size);
  const int64_t step = 3 * s.heads * size, outStep = s.heads * size;
  const int64_t start = sequence * n * step + head * size, outStart = sequence * n * outStep + head * size;
  const Numbers q = qkv.from(start), k = q.from(outStep), v = k.from(outStep);
  float* keys = aligned(scratch);        // [n, d]
  float* dkeys = keys + n * d;           // [n, d]
  float* dvalues = dkeys + n * d;        // [n, d]
  float* keysT = dvalues + n * d;        // [size, t]
  float* valuesT = keysT + size * t;     // [size, t]
  float* queries = valuesT + size * t;   // [rows, d]
  float* douts = queries + kRows * d;    // [rows, d]
  float* dqueries = douts + kRows * d;   // [rows, d]
  float* p = dqueries + kRows * d;       // [rows, t]
  float* ds = p + kRows * t;             // [rows, t]
  pack(k, step, n, size, 1, keys);
  packTransposed(k, step, n, size, keysT);
  packTransposed(v, step, n, size, valuesT);
  for (int64_t first = 0; first < n; first += kRows) {
    const int64_t rows = std::min(kRows, n - first);
    pack(q.from(first * step), step, rows, size, s.scale, queries);
    pack(dout.from(outStart + first * outStep), outStep, rows, size, 1, douts);
    product(queries, d, 1, keysT, t, p, t, rows, t, size, false);
    product(douts, d, 1, valuesT, t, ds, t, rows, t, size, false);
    for (int64_t i = 0; i < rows; i++) {
      float *prow = p + i * t, *dsrow = ds + i * t;
      addBias(s, sequence, head, first + i, prow);
      const Numbers o = out.from(outStart + (first + i) * outStep);
      vf dot{};
      over(0, size, [&](int64_t j, int64_t m) { dot += load(douts + i * d + j) * get(o, j, m); });
      const float delta = total(dot);
      const float log = logSum[(sequence * s.heads + head) * n + first + i];
      for (int64_t j = 0; j < t; j += W) {
        const vf e = exponential(load(prow + j) - log);
        store(prow + j, e);
        store(dsrow + j, e * (load(dsrow + j) - delta));
      }
      if (dbias) {
        float* sum = dbias + (first + i) * n;
        over(0, n, [&](int64_t j, int64_t m) { put(sum + j, get(sum + j, m) + load(dsrow + j), m); });
      }
    }
    // the padding of p and ds is left out: products run over n keys, or write n rows
    product(p, 1, t, douts, d, dvalues, d, n, d, rows, first > 0);
    product(ds, 1, t, queries, d, dkeys, d, n, d, rows, first > 0);
    product(ds, t, 1, keys, d, dqueries, d, rows, d, n, false);
    for (int64_t i = 0; i < rows * d; i += W) store(dqueries + i, load(dqueries + i) * s.scale);
    unpack(dqueries, rows, size, dqkv.from(start + first * step), step);
  }
  unpack(dkeys, n, size, dqkv.from(start + outStep), step);
  unpack(dvalues, n, size, dqkv.from(start + 2 * outStep), step);
}

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {
    TEXT(VITLAB_ISA),     biasAdd,    gelu,             geluGrad,  layerNorm, layerNormGradInput,
    layerNormGradWeights, columnSum,  transpose,        attentionScratch, attention, attentionGrad,
    W,                    depthwiseScratch, depthwise, depthwiseGradWeight, dropout,   adam,      momentum,
};

}  // namespace VITLAB_ISA
}  // namespace vitlab
