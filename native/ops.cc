// vitlab's own TensorFlow ops for processors, and the Node addon that brings them: loading it registers them. Each has
// the same meaning as ordinary ops that src composes where these are not there (another device, another engine).
#include <cstring>
#include <vector>

#include "node_api.h"
#include "opSupport.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"

namespace vitlab {
namespace {

constexpr int64_t kElements = 16384;

/** Rows of `dim` in a block of about kElements. */
int64_t rowsInBlock(int64_t dim) { return std::max<int64_t>(1, kElements / std::max<int64_t>(1, dim)); }

/** Sums over rows are taken of this many parts, added in order. */
constexpr int64_t kParts = 16;

/** sums[k] = Σ of parts[k][·], each `[dim]`; `partial(part, begin, end)` fills one part. */
void inParts(OpKernelContext* context, int64_t rows, const std::function<void(int64_t, int64_t, int64_t)>& partial,
             const std::vector<float*>& sums, const std::vector<float*>& parts, int64_t dim) {
  const int64_t each = std::max<int64_t>(1, (rows + kParts - 1) / kParts);
  inBlocks(context, rows, each, [&](int64_t begin, int64_t end) { partial(begin / each, begin, end); });
  const int64_t count = (rows + each - 1) / each;
  for (size_t k = 0; k < sums.size(); k++) {
    std::fill(sums[k], sums[k] + dim, 0.0f);
    for (int64_t part = 0; part < count; part++)
      for (int64_t i = 0; i < dim; i++) sums[k][i] += parts[k][part * dim + i];
  }
}

/** Output `index` in the memory of one of `inputs` where nobody else needs that, or in new memory. */
Tensor* outputLike(OpKernelContext* context, std::vector<int> inputs, int index, const TensorShape& shape) {
  const auto leftOut = [&](int input) { return input >= context->num_inputs(); };
  inputs.erase(std::remove_if(inputs.begin(), inputs.end(), leftOut), inputs.end());
  Tensor* output = nullptr;
  const absl::Status status = context->forward_input_or_allocate_output(inputs, index, shape, &output);
  if (!status.ok()) context->CtxFailure(status);
  return output;
}

absl::Status likeFirst(InferenceContext* c) {
  for (int i = 0; i < c->num_outputs(); i++) c->set_output(i, c->UnknownShape());
  c->set_output(0, c->input(0));
  return absl::OkStatus();
}

int64_t lastDim(const Tensor& x) { return x.dims() == 0 ? 1 : x.dim_size(x.dims() - 1); }
int64_t rowsOf(const Tensor& x) { return lastDim(x) == 0 ? 0 : x.NumElements() / lastDim(x); }

/** How many elements of x are a row: all of them where no bias is added to each. */
int64_t rowWidth(const Tensor& x, const float* bias) { return bias ? lastDim(x) : x.NumElements(); }

class BiasAddOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor& in = context->input(0);
    const int64_t dim = lastDim(in);
    const float *bias = optional(context, 1, dim, "bias"),
                *residual = optional(context, 2, in.NumElements(), "residual");
    Tensor* y = outputLike(context, {0, 2}, 0, in.shape());
    if (!y || !context->status().ok()) return;
    const Numbers x = numbers(in), out = numbers(*y);
    inBlocks(context, y->NumElements(), kElements,
             [=](int64_t b, int64_t e) { kernels().biasAdd(x, bias, dim, residual, out, b, e); });
  }
};
REGISTER_OP("VitlabBiasAdd")
    .Input("x: Tx")
    .Input("bias: float")
    .Input(OPTIONAL("residual", "residuals"))
    .Output("y: Ty")
    .Attr(NUMBERS("Tx"))
    .Attr(NUMBERS("Ty"))
    .Attr(COUNT("residuals"))
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabBiasAdd").Device(tensorflow::DEVICE_CPU), BiasAddOp);

class GeluOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const float* bias = optional(context, 1, lastDim(context->input(0)), "bias");
    const int64_t row = rowWidth(context->input(0), bias);
    Tensor* y = outputLike(context, {0}, 0, context->input(0).shape());
    if (!y || !context->status().ok()) return;
    const Numbers x = numbers(context, 0), out = numbers(*y);
    inBlocks(context, y->NumElements(), kElements,
             [=](int64_t b, int64_t e) { kernels().gelu(x, bias, row, out, b, e); });
  }
};
REGISTER_OP("VitlabGelu")
    .Input("x: Tx")
    .Input(OPTIONAL("bias", "biases"))
    .Output("y: Ty")
    .Attr(NUMBERS("Tx"))
    .Attr(NUMBERS("Ty"))
    .Attr(COUNT("biases"))
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabGelu").Device(tensorflow::DEVICE_CPU), GeluOp);

class GeluGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    OP_REQUIRES(context, context->input(0).shape() == context->input(1).shape(),
                absl::InvalidArgumentError("gradient and input differ in shape"));
    const float* bias = optional(context, 2, lastDim(context->input(1)), "bias");
    const int64_t row = rowWidth(context->input(1), bias);
    Tensor* dx = outputLike(context, {0, 1}, 0, context->input(0).shape());
    if (!dx || !context->status().ok()) return;
    const Numbers dy = numbers(context, 0), x = numbers(context, 1), out = numbers(*dx);
    inBlocks(context, dx->NumElements(), kElements,
             [=](int64_t b, int64_t e) { kernels().geluGrad(dy, x, bias, row, out, b, e); });
  }
};
REGISTER_OP("VitlabGeluGrad")
    .Input("dy: Tdy")
    .Input("x: Tx")
    .Input(OPTIONAL("bias", "biases"))
    .Output("dx: Tdx")
    .Attr(NUMBERS("Tdy"))
    .Attr(NUMBERS("Tx"))
    .Attr(NUMBERS("Tdx"))
    .Attr(COUNT("biases"))
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabGeluGrad").Device(tensorflow::DEVICE_CPU), GeluGradOp);

class LayerNormOp : public OpKernel {
 public:
  explicit LayerNormOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const int64_t dim = lastDim(x), rows = rowsOf(x);
    OP_REQUIRES(context, context->input(1).NumElements() == dim && context->input(2).NumElements() == dim,
                absl::InvalidArgumentError("weight and bias must be as wide as x"));
    Tensor *y = outputLike(context, {}, 0, x.shape()), *mean = nullptr, *scale = nullptr;
    if (!y) return;
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({rows}), &mean));
    OP_REQUIRES_OK(context, context->allocate_output(2, TensorShape({rows}), &scale));
    const float *in = floats(context, 0), *weight = floats(context, 1), *bias = floats(context, 2);
    const float* skip = optional(context, 3, dim, "skip");
    if (!context->status().ok()) return;
    const Numbers out = numbers(*y);
    float *m = mean->flat<float>().data(), *s = scale->flat<float>().data();
    inBlocks(context, rows, rowsInBlock(dim), [=](int64_t b, int64_t e) {
      kernels().layerNorm(in, weight, bias, skip, epsilon_, dim, out, m, s, b, e);
    });
  }

 private:
  float epsilon_;
};
REGISTER_OP("VitlabLayerNorm")
    .Input("x: float")
    .Input("weight: float")
    .Input("bias: float")
    .Input(OPTIONAL("skip", "skips"))
    .Output("y: Ty")
    .Output("mean: float")
    .Output("scale: float")
    .Attr("epsilon: float")
    .Attr(NUMBERS("Ty"))
    .Attr(COUNT("skips"))
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabLayerNorm").Device(tensorflow::DEVICE_CPU), LayerNormOp);

/** Whether a layer norm's gradient and what was kept of its rows fit its input. */
absl::Status normGradient(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& scale) {
  if (dy.shape() != x.shape()) return absl::InvalidArgumentError("gradient and input differ in shape");
  if (mean.NumElements() != rowsOf(x) || scale.NumElements() != rowsOf(x))
    return absl::InvalidArgumentError("mean and scale must have a number for each row");
  return absl::OkStatus();
}

class LayerNormGradInputOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(1);
    const int64_t dim = lastDim(x), rows = rowsOf(x);
    const float* skip = optional(context, 5, dim, "skip");
    OP_REQUIRES_OK(context, normGradient(context->input(0), x, context->input(3), context->input(4)));
    OP_REQUIRES(context, context->input(2).NumElements() == dim,
                absl::InvalidArgumentError("weight must be as wide as x"));
    Tensor* dx = outputLike(context, {0}, 0, x.shape());
    if (!dx || !context->status().ok()) return;
    const Numbers dy = numbers(context, 0);
    const float *in = floats(context, 1), *weight = floats(context, 2), *mean = floats(context, 3),
                *scale = floats(context, 4);
    float* out = dx->flat<float>().data();
    inBlocks(context, rows, rowsInBlock(dim), [=](int64_t b, int64_t e) {
      kernels().layerNormGradInput(dy, in, weight, mean, scale, skip, dim, out, b, e);
    });
  }
};
REGISTER_OP("VitlabLayerNormGradInput")
    .Input("dy: Tdy")
    .Input("x: float")
    .Input("weight: float")
    .Input("mean: float")
    .Input("scale: float")
    .Input(OPTIONAL("skip", "skips"))
    .Output("dx: float")
    .Attr(NUMBERS("Tdy"))
    .Attr(COUNT("skips"))
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabLayerNormGradInput").Device(tensorflow::DEVICE_CPU), LayerNormGradInputOp);

class LayerNormGradWeightsOp : public OpKernel {
 public:
  explicit LayerNormGradWeightsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("skips", &skips_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(1);
    const int64_t dim = lastDim(x), rows = rowsOf(x);
    OP_REQUIRES_OK(context, normGradient(context->input(0), x, context->input(2), context->input(3)));
    std::vector<float> scratch((2 + skips_) * kParts * dim);
    std::vector<float*> sums, parts;
    for (int i = 0; i < 3; i++) {
      Tensor* sum = nullptr;
      const bool wanted = i < 2 + skips_;
      OP_REQUIRES_OK(context, context->allocate_output(i, TensorShape({wanted ? dim : 0}), &sum));
      if (!wanted) continue;
      sums.push_back(sum->flat<float>().data());
      parts.push_back(scratch.data() + i * kParts * dim);
    }
    const Numbers dy = numbers(context, 0);
    const float *in = floats(context, 1), *mean = floats(context, 2), *scale = floats(context, 3);
    inParts(
        context, rows,
        [&](int64_t part, int64_t b, int64_t e) {
          const int64_t at = part * dim;
          kernels().layerNormGradWeights(dy, in, mean, scale, dim, parts[0] + at, parts[1] + at,
                                         skips_ ? parts[2] + at : nullptr, b, e);
        },
        sums, parts, dim);
  }

 private:
  int skips_;
};
REGISTER_OP("VitlabLayerNormGradWeights")
    .Input("dy: Tdy")
    .Input("x: float")
    .Input("mean: float")
    .Input("scale: float")
    .Output("dweight: float")
    .Output("dbias: float")
    .Output("dskip: float")
    .Attr(NUMBERS("Tdy"))
    .Attr(COUNT("skips"))
    .SetShapeFn([](InferenceContext* c) {
      int skips;
      TF_RETURN_IF_ERROR(c->GetAttr("skips", &skips));
      const DimensionHandle dim = c->RankKnown(c->input(1)) ? c->Dim(c->input(1), -1) : c->UnknownDim();
      for (int i = 0; i < 3; i++) c->set_output(i, c->Vector(i < 2 + skips ? dim : c->MakeDim(0)));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabLayerNormGradWeights").Device(tensorflow::DEVICE_CPU), LayerNormGradWeightsOp);

class ColumnSumOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const int64_t dim = lastDim(x), rows = rowsOf(x);
    Tensor* sum = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({dim}), &sum));
    std::vector<float> parts(kParts * dim);
    const Numbers in = numbers(context, 0);
    inParts(
        context, rows,
        [&](int64_t part, int64_t b, int64_t e) { kernels().columnSum(in, dim, &parts[part * dim], b, e); },
        {sum->flat<float>().data()}, {parts.data()}, dim);
  }
};
REGISTER_OP("VitlabColumnSum")
    .Input("x: T")
    .Output("sum: float")
    .Attr(NUMBERS("T"))
    .SetShapeFn([](InferenceContext* c) {
      const ShapeHandle x = c->input(0);
      c->set_output(0, c->Vector(c->RankKnown(x) ? c->Dim(x, -1) : c->UnknownDim()));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabColumnSum").Device(tensorflow::DEVICE_CPU), ColumnSumOp);

class TransposeOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    OP_REQUIRES(context, x.dims() == 2, absl::InvalidArgumentError("a matrix was expected"));
    const int64_t rows = x.dim_size(0), columns = x.dim_size(1);
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({columns, rows}), &y));
    const Numbers in = numbers(context, 0);
    float* out = y->flat<float>().data();
    const int64_t each = (rowsInBlock(rows) + 15) / 16 * 16;  // whole blocks of the kernel
    inBlocks(context, columns, each,
             [=](int64_t b, int64_t e) { kernels().transpose(in, rows, columns, out, b, e); });
  }
};
REGISTER_OP("VitlabTranspose").Input("x: float").Output("y: float").SetShapeFn([](InferenceContext* c) {
  ShapeHandle x;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &x));
  c->set_output(0, c->Matrix(c->Dim(x, 1), c->Dim(x, 0)));
  return absl::OkStatus();
});
REGISTER_KERNEL_BUILDER(Name("VitlabTranspose").Device(tensorflow::DEVICE_CPU), TransposeOp);

/** Keeps numbers of x where those that follow from a seed are at least p; the same op is its gradient. */
class DropoutOp : public OpKernel {
 public:
  explicit DropoutOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("p", &p_));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
  }
  void Compute(OpKernelContext* context) override {
    OP_REQUIRES(context, context->input(1).NumElements() == 2, absl::InvalidArgumentError("a seed has two words"));
    Tensor* y = outputLike(context, {0}, 0, context->input(0).shape());
    if (!y) return;
    const Numbers x = numbers(context, 0), out = numbers(*y);
    const int32_t* seed = context->input(1).flat<int32_t>().data();
    inBlocks(context, y->NumElements(), kElements,
             [=](int64_t b, int64_t e) { kernels().dropout(x, seed, p_, scale_, out, b, e); });
  }

 private:
  float p_, scale_;
};
REGISTER_OP("VitlabDropout")
    .Input("x: Tx")
    .Input("seed: int32")
    .Output("y: Ty")
    .Attr(NUMBERS("Tx"))
    .Attr(NUMBERS("Ty"))
    .Attr("p: float")
    .Attr("scale: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabDropout").Device(tensorflow::DEVICE_CPU), DropoutOp);

/** The shape of maps `[batch, height, width, channels]` under a kernel of side `kernel`. */
absl::Status mapShape(const Tensor& maps, int64_t kernel, MapShape* shape) {
  if (maps.dims() != 4) return absl::InvalidArgumentError("maps must be [batch, height, width, channels]");
  if (kernel != 3 && kernel != 5 && kernel != 7) return absl::InvalidArgumentError("a kernel's side must be 3, 5 or 7");
  *shape = {maps.dim_size(0), maps.dim_size(1), maps.dim_size(2), maps.dim_size(3), kernel};
  return absl::OkStatus();
}

/** Vectors of channels of a map. */
int64_t vectorsOf(const MapShape& shape) { return (shape.channels + kernels().vector - 1) / kernels().vector; }

class DepthwiseOp : public OpKernel {
 public:
  explicit DepthwiseOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("flipped", &flipped_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &weight = context->input(1);
    MapShape shape;
    OP_REQUIRES_OK(context, mapShape(x, lastDim(weight), &shape));
    OP_REQUIRES(context, weight.shape() == TensorShape({shape.channels, 1, shape.kernel, shape.kernel}),
                absl::InvalidArgumentError("weight must be [channels, 1, kernel, kernel]"));
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    const float *in = floats(context, 0), *taps = floats(context, 1);
    float* out = y->flat<float>().data();
    const int64_t vectors = vectorsOf(shape);
    const int64_t each = rowsInBlock(shape.height * shape.width * kernels().vector);
    inBlocks(context, shape.batch * vectors, each, [&](int64_t begin, int64_t end) {
      thread_local std::vector<float> scratch;
      scratch.resize(kernels().depthwiseScratch(shape));
      for (int64_t unit = begin; unit < end; unit++)
        kernels().depthwise(shape, in, taps, flipped_, out, unit / vectors, unit % vectors * kernels().vector,
                            scratch.data());
    });
  }

 private:
  bool flipped_;
};
REGISTER_OP("VitlabDepthwise")
    .Input("x: float")
    .Input("weight: float")
    .Output("y: float")
    .Attr("flipped: bool")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("VitlabDepthwise").Device(tensorflow::DEVICE_CPU), DepthwiseOp);

class DepthwiseGradWeightOp : public OpKernel {
 public:
  explicit DepthwiseGradWeightOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("kernel", &kernel_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(1);
    MapShape shape;
    OP_REQUIRES_OK(context, mapShape(x, kernel_, &shape));
    OP_REQUIRES(context, context->input(0).shape() == x.shape(),
                absl::InvalidArgumentError("gradient and maps differ in shape"));
    Tensor* dweight = nullptr;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, TensorShape({shape.channels, 1, kernel_, kernel_}), &dweight));
    const float *dy = floats(context, 0), *maps = floats(context, 1);
    const int64_t vectors = vectorsOf(shape), size = dweight->NumElements();
    std::vector<float> parts(kParts * size);
    inParts(
        context, shape.batch,
        [&](int64_t part, int64_t b, int64_t e) {
          thread_local std::vector<float> scratch;
          scratch.resize(kernels().depthwiseScratch(shape));
          for (int64_t vector = 0; vector < vectors; vector++)
            kernels().depthwiseGradWeight(shape, dy, maps, &parts[part * size], b, e, vector * kernels().vector,
                                          scratch.data());
        },
        {dweight->flat<float>().data()}, {parts.data()}, size);
  }

 private:
  int64_t kernel_;
};
REGISTER_OP("VitlabDepthwiseGradWeight")
    .Input("dy: float")
    .Input("x: float")
    .Output("dweight: float")
    .Attr("kernel: int")
    .SetShapeFn([](InferenceContext* c) {
      int64_t kernel;
      TF_RETURN_IF_ERROR(c->GetAttr("kernel", &kernel));
      ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 4, &x));
      c->set_output(0, c->MakeShape({c->Dim(x, 3), c->MakeDim(1), c->MakeDim(kernel), c->MakeDim(kernel)}));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabDepthwiseGradWeight").Device(tensorflow::DEVICE_CPU), DepthwiseGradWeightOp);

/** Attention's shape, from qkv `[batch, tokens, 3 · heads · size]`, bias and mask; the last two may be empty. */
absl::Status attentionShape(const Tensor& qkv, const Tensor& bias, const Tensor& mask, int64_t heads, float scale,
                            AttentionShape* shape) {
  if (qkv.dims() != 3 || heads < 1 || qkv.dim_size(2) % (3 * heads) != 0)
    return absl::InvalidArgumentError("qkv must be [batch, tokens, 3 * heads * size]");
  const int64_t tokens = qkv.dim_size(1), square = tokens * tokens;
  *shape = {qkv.dim_size(0), tokens, heads, qkv.dim_size(2) / (3 * heads), scale, nullptr, nullptr, 1};
  if (bias.NumElements() > 0) {
    if (bias.NumElements() != heads * square) return absl::InvalidArgumentError("bias must be [heads, tokens, tokens]");
    shape->bias = bias.flat<float>().data();
  }
  if (mask.NumElements() > 0) {
    shape->masks = mask.NumElements() / std::max<int64_t>(1, square);
    if (mask.NumElements() != shape->masks * square || shape->batch % shape->masks != 0)
      return absl::InvalidArgumentError("mask must be [masks, tokens, tokens] with a batch of a multiple of masks");
    shape->mask = mask.flat<float>().data();
  }
  return absl::OkStatus();
}

class AttentionOp : public OpKernel {
 public:
  explicit AttentionOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("heads", &heads_));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
  }
  void Compute(OpKernelContext* context) override {
    AttentionShape shape;
    OP_REQUIRES_OK(context, attentionShape(context->input(0), context->input(1), context->input(2), heads_, scale_,
                                           &shape));
    Tensor *out = nullptr, *logSum = nullptr;
    const int64_t width = shape.heads * shape.size;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({shape.batch, shape.tokens, width}), &out));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, TensorShape({shape.batch, shape.heads, shape.tokens}), &logSum));
    const Numbers qkv = numbers(context, 0), mixed = numbers(*out);
    float* log = logSum->flat<float>().data();
    const Kernels& chosen = qkv.half ? halfKernels() : kernels();
    inBlocks(context, shape.batch * shape.heads, 1, [&](int64_t unit, int64_t) {
      thread_local std::vector<float> scratch;
      scratch.resize(chosen.attentionScratch(shape, false));
      chosen.attention(shape, qkv, mixed, log, unit / shape.heads, unit % shape.heads, scratch.data());
    });
  }

 private:
  int64_t heads_;
  float scale_;
};
REGISTER_OP("VitlabAttention")
    .Input("qkv: Tqkv")
    .Input("bias: float")
    .Input("mask: float")
    .Output("out: Tout")
    .Output("log_sum: float")
    .Attr(NUMBERS("Tqkv"))
    .Attr(NUMBERS("Tout"))
    .Attr("heads: int")
    .Attr("scale: float")
    .SetShapeFn([](InferenceContext* c) {
      int64_t heads;
      TF_RETURN_IF_ERROR(c->GetAttr("heads", &heads));
      ShapeHandle qkv;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &qkv));
      DimensionHandle width;
      TF_RETURN_IF_ERROR(c->Divide(c->Dim(qkv, 2), static_cast<int64_t>(3), true, &width));
      c->set_output(0, c->MakeShape({c->Dim(qkv, 0), c->Dim(qkv, 1), width}));
      c->set_output(1, c->MakeShape({c->Dim(qkv, 0), c->MakeDim(heads), c->Dim(qkv, 1)}));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabAttention").Device(tensorflow::DEVICE_CPU), AttentionOp);

class AttentionGradOp : public OpKernel {
 public:
  explicit AttentionGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("heads", &heads_));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
  }
  void Compute(OpKernelContext* context) override {
    AttentionShape shape;
    OP_REQUIRES_OK(context, attentionShape(context->input(1), context->input(2), context->input(3), heads_, scale_,
                                           &shape));
    const int64_t values = shape.batch * shape.tokens * shape.heads * shape.size;
    OP_REQUIRES(context,
                context->input(0).NumElements() == values && context->input(4).NumElements() == values &&
                    context->input(5).NumElements() == shape.batch * shape.heads * shape.tokens,
                absl::InvalidArgumentError("gradient, result and sums must be those of attention on qkv"));
    Tensor *dqkvTensor = nullptr, *dbiasTensor = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(1).shape(), &dqkvTensor));
    OP_REQUIRES_OK(context, context->allocate_output(1, context->input(2).shape(), &dbiasTensor));
    const Numbers dout = numbers(context, 0), qkv = numbers(context, 1), out = numbers(context, 4),
                  dqkv = numbers(*dqkvTensor);
    const float* log = floats(context, 5);
    const Kernels& chosen = qkv.half ? halfKernels() : kernels();
    const auto sequence = [&](int64_t b, int64_t head, float* dbias) {
      thread_local std::vector<float> scratch;
      scratch.resize(chosen.attentionScratch(shape, true));
      chosen.attentionGrad(shape, dout, qkv, out, log, dqkv, dbias, b, head, scratch.data());
    };
    if (!shape.bias) {
      inBlocks(context, shape.batch * shape.heads, 1,
               [&](int64_t unit, int64_t) { sequence(unit / shape.heads, unit % shape.heads, nullptr); });
      return;
    }
    // the bias is shared by all sequences: parts of the batch sum for themselves, then the parts are added in order
    const int64_t square = shape.tokens * shape.tokens;
    const int64_t each = std::max<int64_t>(1, (shape.batch + kParts - 1) / kParts);
    const int64_t parts = (shape.batch + each - 1) / each;
    std::vector<float> sums(parts * shape.heads * square);
    inBlocks(context, parts * shape.heads, 1, [&](int64_t unit, int64_t) {
      const int64_t part = unit / shape.heads, head = unit % shape.heads;
      for (int64_t b = part * each; b < std::min(shape.batch, (part + 1) * each); b++)
        sequence(b, head, &sums[unit * square]);
    });
    float* dbias = dbiasTensor->flat<float>().data();
    const int64_t size = shape.heads * square;
    inBlocks(context, size, kElements, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        float sum = 0;
        for (int64_t part = 0; part < parts; part++) sum += sums[part * size + i];
        dbias[i] = sum;
      }
    });
  }

 private:
  int64_t heads_;
  float scale_;
};
REGISTER_OP("VitlabAttentionGrad")
    .Input("dout: Tdout")
    .Input("qkv: Tqkv")
    .Input("bias: float")
    .Input("mask: float")
    .Input("out: Tout")
    .Input("log_sum: float")
    .Output("dqkv: Tdqkv")
    .Output("dbias: float")
    .Attr(NUMBERS("Tdout"))
    .Attr(NUMBERS("Tqkv"))
    .Attr(NUMBERS("Tout"))
    .Attr(NUMBERS("Tdqkv"))
    .Attr("heads: int")
    .Attr("scale: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(1));
      c->set_output(1, c->input(2));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabAttentionGrad").Device(tensorflow::DEVICE_CPU), AttentionGradOp);

/** Maps into shifted windows and back, in rows of pixels. */
class WindowsOp : public OpKernel {
 public:
  explicit WindowsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("map", &map_));
    OP_REQUIRES_OK(context, context->GetAttr("window", &window_));
    OP_REQUIRES_OK(context, context->GetAttr("shift", &shift_));
    OP_REQUIRES_OK(context, context->GetAttr("merge", &merge_));
    const bool pairs = map_.size() == 2 && window_.size() == 2 && shift_.size() == 2;
    OP_REQUIRES(context, pairs && window_[0] > 0 && window_[1] > 0 && map_[0] % window_[0] == 0 &&
                             map_[1] % window_[1] == 0 && shift_[0] >= 0 && shift_[0] < map_[0] && shift_[1] >= 0 &&
                             shift_[1] < map_[1],
                absl::InvalidArgumentError("windows must tile the map and a shift stay within it"));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& from = context->input(0);
    const int64_t height = map_[0], width = map_[1], h = window_[0], w = window_[1];
    const int64_t channels = lastDim(from), places = height * width;
    OP_REQUIRES(context, channels > 0 && from.NumElements() % (places * channels) == 0,
                absl::InvalidArgumentError("the input does not hold maps of this size"));
    const int64_t batch = from.NumElements() / (places * channels);
    const TensorShape shape = merge_ ? TensorShape({batch, height, width, channels})
                                     : TensorShape({batch * places / (h * w), h * w, channels});
    Tensor* to = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &to));
    const Numbers in = numbers(from), out = numbers(*to);
    const int64_t bytes = in.half ? 2 : 4;
    const int64_t down = height / h, across = width / w;
    inBlocks(context, batch * down * h, std::max<int64_t>(1, kElements / (width * channels)),
             [&](int64_t begin, int64_t end) {
               for (int64_t line = begin; line < end; line++) {
                 const int64_t b = line / height, y = line % height;
                 const int64_t mapRow = (b * height + (y + shift_[0]) % height) * width;
                 for (int64_t column = 0; column < across; column++) {
                   const int64_t tokens = (((b * down + y / h) * across + column) * h + y % h) * w;
                   for (int64_t x = 0; x < w;) {
                     const int64_t at = (column * w + x + shift_[1]) % width;
                     const int64_t run = std::min(w - x, width - at);
                     const int64_t window = (tokens + x) * channels, map = (mapRow + at) * channels;
                     std::memcpy(out.from(merge_ ? map : window).data, in.from(merge_ ? window : map).data,
                                 run * channels * bytes);
                     x += run;
                   }
                 }
               }
             });
  }

 private:
  std::vector<int64_t> map_, window_, shift_;
  bool merge_;
};
REGISTER_OP("VitlabWindows")
    .Input("x: T")
    .Output("y: T")
    .Attr(NUMBERS("T"))
    .Attr("map: list(int)")
    .Attr("window: list(int)")
    .Attr("shift: list(int)")
    .Attr("merge: bool")
    .SetShapeFn([](InferenceContext* c) {
      std::vector<int64_t> map, window;
      bool merge;
      TF_RETURN_IF_ERROR(c->GetAttr("map", &map));
      TF_RETURN_IF_ERROR(c->GetAttr("window", &window));
      TF_RETURN_IF_ERROR(c->GetAttr("merge", &merge));
      ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), merge ? 3 : 4, &x));
      if (map.size() != 2 || window.size() != 2) return absl::InvalidArgumentError("map and window must be pairs");
      const int64_t inWindow = window[0] * window[1], windows = map[0] * map[1] / std::max<int64_t>(1, inWindow);
      DimensionHandle count;
      if (merge) {
        TF_RETURN_IF_ERROR(c->Divide(c->Dim(x, 0), windows, true, &count));
        c->set_output(0, c->MakeShape({count, c->MakeDim(map[0]), c->MakeDim(map[1]), c->Dim(x, 2)}));
      } else {
        TF_RETURN_IF_ERROR(c->Multiply(c->Dim(x, 0), windows, &count));
        c->set_output(0, c->MakeShape({count, c->MakeDim(inWindow), c->Dim(x, 3)}));
      }
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabWindows").Device(tensorflow::DEVICE_CPU), WindowsOp);

/** Variables that an update changes in place. Whoever still reads an old value keeps it: the variable gets a copy. */
class InPlace {
 public:
  InPlace(OpKernelContext* context, int count) {
    for (int i = 0; i < count && context->status().ok(); i++) {
      tensorflow::core::RefCountPtr<tensorflow::Var> variable;
      const absl::Status found = LookupResource(context, tensorflow::HandleFromInput(context, i), &variable);
      if (!found.ok()) {
        context->CtxFailure(found);
        return;
      }
      variable->mu()->lock();
      variables_.push_back(std::move(variable));
      Tensor* value = variables_.back()->tensor();
      if (value->RefCountIsOne()) continue;
      Tensor own;
      const absl::Status allocated = context->allocate_temp(value->dtype(), value->shape(), &own);
      if (!allocated.ok()) {
        context->CtxFailure(allocated);
        return;
      }
      std::memcpy(own.flat<float>().data(), value->flat<float>().data(), value->TotalBytes());
      *value = own;
    }
  }
  ~InPlace() {
    for (auto& variable : variables_) variable->mu()->unlock();
  }
  float* values(int i) { return variables_[i]->tensor()->flat<float>().data(); }
  bool fits(int64_t size) const {
    for (auto& variable : variables_)
      if (variable->tensor()->NumElements() != size) return false;
    return true;
  }

 private:
  std::vector<tensorflow::core::RefCountPtr<tensorflow::Var>> variables_;
};

float scalar(OpKernelContext* context, int input) { return floats(context, input)[0]; }

class AdamOp : public OpKernel {
 public:
  explicit AdamOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("beta1", &factors_.beta1));
    OP_REQUIRES_OK(context, context->GetAttr("rest1", &factors_.rest1));
    OP_REQUIRES_OK(context, context->GetAttr("beta2", &factors_.beta2));
    OP_REQUIRES_OK(context, context->GetAttr("rest2", &factors_.rest2));
    OP_REQUIRES_OK(context, context->GetAttr("penalty", &factors_.penalty));
  }
  void Compute(OpKernelContext* context) override {
    InPlace variables(context, 3);
    if (!context->status().ok()) return;
    const int64_t size = context->input(3).NumElements();
    OP_REQUIRES(context, variables.fits(size), absl::InvalidArgumentError("gradient and variables differ in size"));
    float *p = variables.values(0), *m = variables.values(1), *v = variables.values(2);
    const float* gradient = floats(context, 3);
    AdamFactors factors = factors_;
    factors.size = scalar(context, 4);
    factors.epsilon = scalar(context, 5);
    factors.shrink = scalar(context, 6);
    inBlocks(context, size, kElements,
             [=](int64_t b, int64_t e) { kernels().adam(p, m, v, gradient, factors, b, e); });
  }

 private:
  AdamFactors factors_{};
};
REGISTER_OP("VitlabAdam")
    .Input("value: resource")
    .Input("first: resource")
    .Input("second: resource")
    .Input("gradient: float")
    .Input("size: float")
    .Input("epsilon: float")
    .Input("shrink: float")
    .Attr("beta1: float")
    .Attr("rest1: float")
    .Attr("beta2: float")
    .Attr("rest2: float")
    .Attr("penalty: float")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext*) { return absl::OkStatus(); });
REGISTER_KERNEL_BUILDER(Name("VitlabAdam").Device(tensorflow::DEVICE_CPU), AdamOp);

class MomentumOp : public OpKernel {
 public:
  explicit MomentumOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("momentum", &factors_.momentum));
    OP_REQUIRES_OK(context, context->GetAttr("penalty", &factors_.penalty));
    OP_REQUIRES_OK(context, context->GetAttr("nesterov", &factors_.nesterov));
  }
  void Compute(OpKernelContext* context) override {
    InPlace variables(context, 2);
    if (!context->status().ok()) return;
    const int64_t size = context->input(2).NumElements();
    OP_REQUIRES(context, variables.fits(size), absl::InvalidArgumentError("gradient and variables differ in size"));
    float *p = variables.values(0), *v = variables.values(1);
    const float* gradient = floats(context, 2);
    MomentumFactors factors = factors_;
    factors.rate = scalar(context, 3);
    factors.share = scalar(context, 4);
    inBlocks(context, size, kElements,
             [=](int64_t b, int64_t e) { kernels().momentum(p, v, gradient, factors, b, e); });
  }

 private:
  MomentumFactors factors_{};
};
REGISTER_OP("VitlabMomentum")
    .Input("value: resource")
    .Input("velocity: resource")
    .Input("gradient: float")
    .Input("rate: float")
    .Input("share: float")
    .Attr("momentum: float")
    .Attr("penalty: float")
    .Attr("nesterov: bool")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext*) { return absl::OkStatus(); });
REGISTER_KERNEL_BUILDER(Name("VitlabMomentum").Device(tensorflow::DEVICE_CPU), MomentumOp);

}  // namespace
}  // namespace vitlab

/** The addon says which instructions the kernels use, and which those of products in bfloat16. */
NAPI_MODULE_INIT() {
  const auto say = [&](const char* property, const char* name) {
    napi_value value;
    napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &value);
    napi_set_named_property(env, exports, property, value);
  };
  say("instructions", vitlab::kernels().name);
  say("halfInstructions", vitlab::halfKernels().name);
  return exports;
}
