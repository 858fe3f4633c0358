// Attention of bfloat16 tensors (halfAttention.cc): the same functions as in `Kernels`.
#pragma once
#include "kernels.h"

namespace vitlab {

struct HalfAttention {
  decltype(Kernels::attentionScratch) scratch;
  decltype(Kernels::attention) forward;
  decltype(Kernels::attentionGrad) backward;
};

namespace amx {
extern const HalfAttention kHalfAttention;
}
namespace avx512bf16 {
extern const HalfAttention kHalfAttention;
}

}  // namespace vitlab
