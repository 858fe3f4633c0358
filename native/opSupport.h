// What the files that register TensorFlow ops share. Included once by each of them.
#pragma once
#include <algorithm>
#include <functional>

#include "kernels.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace vitlab {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

/** Runs `work(begin, end)` over `[0, total)` in blocks of a fixed size, so that the split does not depend on threads. */
void inBlocks(OpKernelContext* context, int64_t total, int64_t block, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t blocks = (total + block - 1) / block;
  const auto each = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) work(i * block, std::min(total, (i + 1) * block));
  };
  if (blocks < 2) return each(0, blocks);
  auto* threads = context->device()->tensorflow_cpu_worker_threads()->workers;
  threads->ParallelFor(blocks, tsl::thread::ThreadPool::SchedulingParams(
                                   tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, std::nullopt, 1),
                       each);
}

const float* floats(OpKernelContext* context, int input) { return context->input(input).flat<float>().data(); }

/** A tensor in float32 or bfloat16. */
Numbers numbers(const Tensor& tensor) {
  return {tensor.data(), tensor.dtype() == tensorflow::DT_BFLOAT16};
}
Numbers numbers(OpKernelContext* context, int input) { return numbers(context->input(input)); }

/** An attribute for the type of inputs or outputs that autocast may turn into bfloat16. */
#define NUMBERS(name) name ": {float, bfloat16} = DT_FLOAT"

/** Inputs that may be left out: `[]` or `[tensor]`. */
#define OPTIONAL(name, attribute) name ": " attribute " * float"
#define COUNT(name) name ": int >= 0 = 0"

/** The values of input `index`, which must be `size` many; null where it is left out. */
const float* optional(OpKernelContext* context, int index, int64_t size, const char* name) {
  if (index >= context->num_inputs()) return nullptr;
  const Tensor& tensor = context->input(index);
  if (tensor.NumElements() != size)
    context->CtxFailure(absl::InvalidArgumentError(
        absl::StrCat("the ", name, " must have ", size, " numbers, got ", tensor.NumElements())));
  return tensor.flat<float>().data();
}

}  // namespace
}  // namespace vitlab
