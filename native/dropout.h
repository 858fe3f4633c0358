// Dropout, in a file of its own (see dropout.cc).
#pragma once
#include "kernels.h"

namespace vitlab {
namespace VITLAB_ISA {

void dropout(Numbers x, const int32_t* seed, float p, float scale, Numbers y, int64_t begin, int64_t end);

}  // namespace VITLAB_ISA
}  // namespace vitlab
