// Depthwise convolution of maps, a vector of channels at a time: stride 1, odd square kernels, zeros around the map.
#include "depthwise.h"

#include "vectors.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

/** Places of a row that are computed together: their sums and what they see of a row of the map stay in registers. */
constexpr int kPlaces = 8;

/** Places in a row of the scratch: zeros on both sides, and whole blocks of places. */
int64_t paddedWidth(const MapShape& s) { return (s.width + kPlaces - 1) / kPlaces * kPlaces + s.kernel - 1; }

/** One vector of channels of a map, with zeros beside each row. */
void pack(const MapShape& s, const float* map, int64_t channels, float* to) {
  const int64_t wide = paddedWidth(s), before = s.kernel / 2;
  for (int64_t row = 0; row < s.height; row++) {
    float* line = to + row * wide * W;
    std::fill(line, line + before * W, 0.0f);
    for (int64_t i = 0; i < s.width; i++)
      store(line + (before + i) * W, get(map + (row * s.width + i) * s.channels, channels));
    std::fill(line + (before + s.width) * W, line + wide * W, 0.0f);
  }
}

/** Calls f(row of the map, row of the kernel) for the rows that the kernel sees from `row`. */
template <int K, class F>
inline void rowsSeen(const MapShape& s, int64_t row, F f) {
  for (int i = 0; i < K; i++) {
    const int64_t seen = row + i - K / 2;
    if (seen >= 0 && seen < s.height) f(seen, i);
  }
}

template <int K>
void convolve(const MapShape& s, const float* x, const float* weight, bool flipped, float* y, int64_t map,
              int64_t channel, float* scratch) {
  const int64_t channels = std::min<int64_t>(W, s.channels - channel), wide = paddedWidth(s);
  const int64_t at = map * s.height * s.width * s.channels + channel;
  pack(s, x + at, channels, scratch);
  vf taps[K * K] = {};
  for (int64_t c = 0; c < channels; c++)
    for (int tap = 0; tap < K * K; tap++)
      taps[tap][c] = weight[(channel + c) * K * K + (flipped ? K * K - 1 - tap : tap)];
  for (int64_t row = 0; row < s.height; row++) {
    for (int64_t first = 0; first < s.width; first += kPlaces) {
      vf sums[kPlaces] = {};
      rowsSeen<K>(s, row, [&](int64_t seen, int i) {
        vf line[kPlaces + K - 1];
        for (int j = 0; j < kPlaces + K - 1; j++) line[j] = load(scratch + (seen * wide + first + j) * W);
        for (int j = 0; j < K; j++)
          for (int place = 0; place < kPlaces; place++) sums[place] += taps[i * K + j] * line[place + j];
      });
      float* out = y + at + (row * s.width + first) * s.channels;
      const int64_t places = std::min<int64_t>(kPlaces, s.width - first);
      for (int64_t place = 0; place < places; place++) put(out + place * s.channels, sums[place], channels);
    }
  }
}

template <int K>
void correlate(const MapShape& s, const float* dy, const float* x, float* dweight, int64_t begin, int64_t end,
               int64_t channel, float* scratch) {
  const int64_t channels = std::min<int64_t>(W, s.channels - channel), wide = paddedWidth(s);
  vf sums[K * K] = {};
  for (int64_t map = begin; map < end; map++) {
    const int64_t at = map * s.height * s.width * s.channels + channel;
    pack(s, x + at, channels, scratch);
    for (int64_t row = 0; row < s.height; row++) {
      for (int64_t first = 0; first < s.width; first += kPlaces) {
        const int64_t places = std::min<int64_t>(kPlaces, s.width - first);
        vf gradients[kPlaces] = {};
        for (int64_t place = 0; place < places; place++)
          gradients[place] = get(dy + at + (row * s.width + first + place) * s.channels, channels);
        rowsSeen<K>(s, row, [&](int64_t seen, int i) {
          vf line[kPlaces + K - 1];
          for (int j = 0; j < kPlaces + K - 1; j++) line[j] = load(scratch + (seen * wide + first + j) * W);
          for (int j = 0; j < K; j++)
            for (int place = 0; place < kPlaces; place++) sums[i * K + j] += gradients[place] * line[place + j];
        });
      }
    }
  }
  for (int64_t c = 0; c < channels; c++)
    for (int tap = 0; tap < K * K; tap++) dweight[(channel + c) * K * K + tap] = sums[tap][c];
}

}  // namespace

int64_t depthwiseScratch(const MapShape& shape) { return shape.height * paddedWidth(shape) * W; }

void depthwise(const MapShape& s, const float* x, const float* weight, bool flipped, float* y, int64_t map,
               int64_t channel, float* scratch) {
  const auto compute = s.kernel == 3 ? convolve<3> : s.kernel == 5 ? convolve<5> : convolve<7>;
  compute(s, x, weight, flipped, y, map, channel, scratch);
}

void depthwiseGradWeight(const MapShape& s, const float* dy, const float* x, float* dweight, int64_t begin,
                         int64_t end, int64_t channel, float* scratch) {
  const auto compute = s.kernel == 3 ? correlate<3> : s.kernel == 5 ? correlate<5> : correlate<7>;
  compute(s, dy, x, dweight, begin, end, channel, scratch);
}

}  // namespace VITLAB_ISA
}  // namespace vitlab
