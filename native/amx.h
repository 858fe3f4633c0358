// Attention of bfloat16 tensors on AMX (see amx.cc): the same functions as in `Kernels`.
#pragma once
#include "kernels.h"

namespace vitlab {
namespace amx {

int64_t attentionScratch(const AttentionShape& shape, bool gradient);
void attention(const AttentionShape& shape, Numbers qkv, Numbers out, float* logSum, int64_t sequence, int64_t head,
               float* scratch);
void attentionGrad(const AttentionShape& shape, Numbers dout, Numbers qkv, Numbers out, const float* logSum,
                   Numbers dqkv, float* dbias, int64_t sequence, int64_t head, float* scratch);

}  // namespace amx
}  // namespace vitlab
