// The arithmetic of vitlab's own TensorFlow ops: what kernels.cc computes, compiled once for each instruction set. Work
// is in units that are independent of each other, so that any number of threads gives the same bits.
#pragma once
#include <cstdint>

namespace vitlab {

/** Numbers in memory, in float32 or, if `half`, in bfloat16. Arithmetic is in float32 in either case. */
struct Numbers {
  void* data;
  bool half;
  Numbers from(int64_t position) const { return {static_cast<char*>(data) + position * (half ? 2 : 4), half}; }
};

/** Attention of `batch` sequences of `tokens` tokens, read from and written to where the projections keep them. */
struct AttentionShape {
  int64_t batch, tokens, heads, size;
  float scale;
  /** `[heads, tokens, tokens]`, or none. */
  const float* bias;
  /** `[masks, tokens, tokens]`, of which sequence b takes number b mod masks, or none. */
  const float* mask;
  int64_t masks;
};

/** `batch` maps `[height, width, channels]`, and the side of a depthwise kernel: 3, 5 or 7. */
struct MapShape {
  int64_t batch, height, width, channels, kernel;
};

/** g ← g + penalty · p; m ← beta1 · m + rest1 · g; v ← beta2 · v + rest2 · g²; p ← shrink · p - size · m / (√v + ε). */
struct AdamFactors {
  float beta1, rest1, beta2, rest2, penalty, size, epsilon, shrink;
};

/** g ← g + penalty · p; v ← momentum · v + share · g; p ← p - rate · v, with Nesterov p - rate · (g + momentum · v). */
struct MomentumFactors {
  float momentum, penalty, rate, share;
  bool nesterov;
};

struct Kernels {
  const char* name;
  /** Elements `[begin, end)` of rows of width `dim`: y = x + bias + residual; residual may be null. */
  void (*biasAdd)(Numbers x, const float* bias, int64_t dim, const float* residual, Numbers y, int64_t begin,
                  int64_t end);
  /** The same elements: y = z Φ(z), where z = x + bias; bias may be null. */
  void (*gelu)(Numbers x, const float* bias, int64_t dim, Numbers y, int64_t begin, int64_t end);
  /** dx = dy (Φ(z) + z φ(z)). */
  void (*geluGrad)(Numbers dy, Numbers x, const float* bias, int64_t dim, Numbers dx, int64_t begin, int64_t end);
  /** Rows `[begin, end)` of width `dim`, plus x times `skip`, which may be null; keeps mean and 1 / √(variance + ε) of
   * each row. */
  void (*layerNorm)(const float* x, const float* weight, const float* bias, const float* skip, float epsilon,
                    int64_t dim, Numbers y, float* mean, float* scale, int64_t begin, int64_t end);
  void (*layerNormGradInput)(Numbers dy, const float* x, const float* weight, const float* mean, const float* scale,
                             const float* skip, int64_t dim, float* dx, int64_t begin, int64_t end);
  /** Sums over rows `[begin, end)`, written to `[dim]` each; dskip may be null. */
  void (*layerNormGradWeights)(Numbers dy, const float* x, const float* mean, const float* scale, int64_t dim,
                               float* dweight, float* dbias, float* dskip, int64_t begin, int64_t end);
  /** sum[column] = Σ x over rows `[begin, end)`. */
  void (*columnSum)(Numbers x, int64_t dim, float* sum, int64_t begin, int64_t end);
  /** Rows `[begin, end)` of y `[columns, rows]`, the transpose of x `[rows, columns]`. */
  void (*transpose)(Numbers x, int64_t rows, int64_t columns, float* y, int64_t begin, int64_t end);
  /** Floats of scratch that a call of `attention` or `attentionGrad` needs. */
  int64_t (*attentionScratch)(const AttentionShape& shape, bool gradient);
  /** One head of one sequence: qkv `[batch, tokens, 3, heads, size]` → out `[batch, tokens, heads, size]`, and the
   * logarithm of each row's sum of exponentials, `[batch, heads, tokens]`. */
  void (*attention)(const AttentionShape& shape, Numbers qkv, Numbers out, float* logSum, int64_t sequence,
                    int64_t head, float* scratch);
  /** Gradients of the same. Adds to dbias `[tokens, tokens]` of this head, where it is not null. */
  void (*attentionGrad)(const AttentionShape& shape, Numbers dout, Numbers qkv, Numbers out, const float* logSum,
                        Numbers dqkv, float* dbias, int64_t sequence, int64_t head, float* scratch);
  /** Channels that a call of `depthwise` works on. */
  int64_t vector;
  /** Floats of scratch that a call of `depthwise` or `depthwiseGradWeight` needs. */
  int64_t (*depthwiseScratch)(const MapShape& shape);
  /** A vector of channels, from `channel` on, of one map: y = x convolved with weight `[channels, 1, kernel, kernel]`,
   * turned by 180° if `flipped`, which is the gradient of the same by x. */
  void (*depthwise)(const MapShape& shape, const float* x, const float* weight, bool flipped, float* y, int64_t map,
                    int64_t channel, float* scratch);
  /** Gradient by the weight, of the same channels, summed over maps `[begin, end)`. */
  void (*depthwiseGradWeight)(const MapShape& shape, const float* dy, const float* x, float* dweight, int64_t begin,
                              int64_t end, int64_t channel, float* scratch);
  /** Elements `[begin, end)` of y: those of x times `scale`, or times 0 where the uniform numbers in [0, 1) that follow
   * from the seed, two words, are below `p`. Begins at a multiple of 64. */
  void (*dropout)(Numbers x, const int32_t* seed, float p, float scale, Numbers y, int64_t begin, int64_t end);
  /** Elements `[begin, end)` of parameter, moments and gradient. */
  void (*adam)(float* p, float* m, float* v, const float* gradient, const AdamFactors& factors, int64_t begin,
               int64_t end);
  void (*momentum)(float* p, float* v, const float* gradient, const MomentumFactors& factors, int64_t begin,
                   int64_t end);
};

/** The kernels for this processor. */
const Kernels& kernels();
/** The same where what matrix products read is in bfloat16: they are computed in it, where the processor can. */
const Kernels& halfKernels();

}  // namespace vitlab
