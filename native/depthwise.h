// Depthwise convolution, in a file of its own (see depthwise.cc).
#pragma once
#include "kernels.h"

namespace vitlab {
namespace VITLAB_ISA {

int64_t depthwiseScratch(const MapShape& shape);
void depthwise(const MapShape& shape, const float* x, const float* weight, bool flipped, float* y, int64_t map,
               int64_t channel, float* scratch);
void depthwiseGradWeight(const MapShape& shape, const float* dy, const float* x, float* dweight, int64_t begin,
                         int64_t end, int64_t channel, float* scratch);

}  // namespace VITLAB_ISA
}  // namespace vitlab
