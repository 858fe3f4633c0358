// The TensorFlow ops for matrix products in bfloat16, used where the processor multiplies it.
#include "product.h"

#include <vector>

#include "opSupport.h"

namespace vitlab {
namespace {

/** The second factor in the order in which products use it. */
void pack(OpKernelContext* context, const ProductShape& s, const Tensor& b, uint8_t* packed) {
  const Numbers given = numbers(b);
  inBlocks(context, packUnits(s), 4, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) products()->packUnit(s, given, packed, unit);
  });
}

absl::Status productsThere() {
  if (products()) return absl::OkStatus();
  return absl::FailedPreconditionError("this op needs a processor that multiplies bfloat16, and VITLAB_BF16 to want it");
}

/** Packs a factor that many products have, once. */
class PackOp : public OpKernel {
 public:
  explicit PackOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, productsThere());
    OP_REQUIRES_OK(context, context->GetAttr("transpose", &turned_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& b = context->input(0);
    OP_REQUIRES(context, b.dims() == 2, absl::InvalidArgumentError("a factor must be a matrix"));
    const ProductShape s{0, b.dim_size(turned_ ? 0 : 1), b.dim_size(turned_ ? 1 : 0), false, turned_};
    Tensor* packed = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({packedBytes(s) / 2}), &packed));
    if (b.NumElements() > 0) pack(context, s, b, static_cast<uint8_t*>(packed->data()));
  }

 private:
  bool turned_;
};
REGISTER_OP("VitlabPack")
    .Input("b: T")
    .Output("packed: bfloat16")
    .Attr(NUMBERS("T"))
    .Attr("transpose: bool")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->MakeShape({InferenceContext::kUnknownDim}));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabPack").Device(tensorflow::DEVICE_CPU), PackOp);

/** b is a matrix, or, where its columns are named, what VitlabPack made of one. */
class ProductOp : public OpKernel {
 public:
  explicit ProductOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, productsThere());
    OP_REQUIRES_OK(context, context->GetAttr("transpose_a", &shape_.turnedA));
    OP_REQUIRES_OK(context, context->GetAttr("transpose_b", &shape_.turnedB));
    OP_REQUIRES_OK(context, context->GetAttr("columns", &shape_.columns));
    OP_REQUIRES_OK(context, context->GetAttr("biases", &biases_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor &a = context->input(0), &b = context->input(1);
    const bool isPacked = shape_.columns > 0;
    OP_REQUIRES(context, a.dims() == 2 && b.dims() == (isPacked ? 1 : 2),
                absl::InvalidArgumentError("factors must be matrices"));
    ProductShape s = shape_;
    s.rows = a.dim_size(s.turnedA ? 1 : 0);
    s.depth = a.dim_size(s.turnedA ? 0 : 1);
    if (!isPacked) s.columns = b.dim_size(s.turnedB ? 0 : 1);
    const bool fits = isPacked ? b.dtype() == tensorflow::DT_BFLOAT16 && b.TotalBytes() == packedBytes(s)
                               : b.dim_size(s.turnedB ? 1 : 0) == s.depth;
    OP_REQUIRES(context, s.depth > 0 && fits, absl::InvalidArgumentError("factors do not fit each other"));
    const Addends addends{biases_ ? optional(context, 2, s.columns, "bias") : nullptr,
                          optional(context, 2 + biases_, s.rows * s.columns, "residual")};
    std::vector<int> residual;
    if (addends.residual) residual.push_back(2 + biases_);
    if (!context->status().ok()) return;
    Tensor *result = nullptr, packed;
    // a residual is read where the result is written
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output(
                                residual, 0, TensorShape({s.rows, s.columns}), &result));
    if (result->NumElements() == 0) return;
    const Numbers first = numbers(a), c = numbers(*result);
    const uint8_t* second = static_cast<const uint8_t*>(b.data());
    if (!isPacked) {
      OP_REQUIRES_OK(context,
                     context->allocate_temp(tensorflow::DT_UINT8, TensorShape({packedBytes(s)}), &packed));
      pack(context, s, b, packed.flat<uint8_t>().data());
      second = packed.flat<uint8_t>().data();
    }

    // blocks that a core's cache has room for, some for each thread; where rows are too few, of parts of the columns
    const int64_t threads = context->device()->tensorflow_cpu_worker_threads()->num_threads;
    const int64_t rows = strips(s.rows), columns = strips(s.columns), most = products()->rowStrips(s);
    const int64_t wanted = threads > 1 ? 2 * threads : 1, needed = (rows + most - 1) / most;
    const int64_t down = std::min(rows, (needed + wanted - 1) / wanted * wanted);
    const int64_t across = down < wanted ? std::min(columns, (wanted + down - 1) / down) : 1;
    inBlocks(context, down * across, 1, [&](int64_t unit, int64_t) {
      const int64_t i = unit / across, j = unit % across;
      const ProductBlock block{rows * i / down, rows * (i + 1) / down, columns * j / across, columns * (j + 1) / across};
      thread_local Scratch scratch;
      products()->block(s, first, second, addends, c, block, scratch.bytes(products()->scratch(s, block)));
    });
  }

 private:
  /** Memory of a thread, aligned to a line of the cache. */
  class Scratch {
   public:
    uint8_t* bytes(size_t count) {
      if (memory_.size() < count + 64) memory_.resize(count + 64);
      return memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64;
    }

   private:
    std::vector<uint8_t> memory_;
  };

  ProductShape shape_{};
  int biases_;
};
REGISTER_OP("VitlabProduct")
    .Input("a: Ta")
    .Input("b: Tb")
    .Input(OPTIONAL("bias", "biases"))
    .Input(OPTIONAL("residual", "residuals"))
    .Output("c: Tc")
    .Attr(NUMBERS("Ta"))
    .Attr(NUMBERS("Tb"))
    .Attr(NUMBERS("Tc"))
    .Attr("transpose_a: bool")
    .Attr("transpose_b: bool")
    .Attr("columns: int >= 0 = 0")
    .Attr(COUNT("biases"))
    .Attr(COUNT("residuals"))
    .SetShapeFn([](InferenceContext* c) {
      bool turnedA, turnedB;
      TF_RETURN_IF_ERROR(c->GetAttr("transpose_a", &turnedA));
      TF_RETURN_IF_ERROR(c->GetAttr("transpose_b", &turnedB));
      int64_t columns;
      TF_RETURN_IF_ERROR(c->GetAttr("columns", &columns));
      ShapeHandle a, b;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &a));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), columns ? 1 : 2, &b));
      const DimensionHandle across = columns ? c->MakeDim(columns) : c->Dim(b, turnedB ? 0 : 1);
      c->set_output(0, c->MakeShape({c->Dim(a, turnedA ? 1 : 0), across}));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("VitlabProduct").Device(tensorflow::DEVICE_CPU), ProductOp);

}  // namespace
}  // namespace vitlab
