// Compares the build for AMX, its tiles emulated, with the build for vectors of bfloat16. Prints how many products and
// attentions were compared, and the largest difference of each as a share of the norm.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "halfAttention.h"
#include "product.h"

using namespace vitlab;
using Floats = std::vector<float>;

static Floats randomFloats(int64_t count) {
  Floats values(count);
  for (float& value : values) value = 2.0f * std::rand() / RAND_MAX - 1;
  return values;
}
static std::vector<uint16_t> halves(const Floats& floats) {
  std::vector<uint16_t> values(floats.size());
  for (size_t i = 0; i < values.size(); i++) {
    uint32_t bits;
    std::memcpy(&bits, &floats[i], sizeof bits);
    values[i] = bits >> 16;
  }
  return values;
}
/** The larger of two; what is no number stays, so that it is printed and no number is read. */
static double worse(double a, double b) { return a >= b || std::isnan(a) ? a : b; }
static double difference(const Floats& a, const Floats& b) {
  double distance = 0, size = 0;
  for (size_t i = 0; i < a.size(); i++) distance += std::pow(a[i] - b[i], 2), size += std::pow(a[i], 2);
  return a.empty() ? 0 : std::sqrt(distance / size);
}
struct Free {
  void operator()(uint8_t* memory) const { std::free(memory); }
};
static std::unique_ptr<uint8_t, Free> aligned(int64_t bytes) {
  return std::unique_ptr<uint8_t, Free>(static_cast<uint8_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
}

static Floats product(const Products& kernels, const ProductShape& s, Numbers a, Numbers b, const Addends& addends) {
  Floats c(s.rows * s.columns);
  const auto packed = aligned(packedBytes(s));
  for (int64_t unit = 0; unit < packUnits(s); unit++) kernels.packUnit(s, b, packed.get(), unit);
  for (int64_t row = 0; row < strips(s.rows); row += 2) {
    const ProductBlock block{row, std::min(strips(s.rows), row + 2), 0, strips(s.columns)};
    kernels.block(s, a, packed.get(), addends, {c.data(), false}, block, aligned(kernels.scratch(s, block)).get());
  }
  return c;
}

struct Attention {
  Floats out, logSum, dqkv, dbias;
};
static Attention attention(const HalfAttention& kernels, const AttentionShape& s, Floats& qkv, Floats& dout) {
  const int64_t scores = s.bias ? s.heads * s.tokens * s.tokens : 0;
  Attention made{Floats(dout.size()), Floats(s.batch * s.heads * s.tokens), Floats(qkv.size()), Floats(scores)};
  Floats scratch(std::max(kernels.scratch(s, false), kernels.scratch(s, true)));
  const Numbers in{qkv.data(), false}, out{made.out.data(), false}, dqkv{made.dqkv.data(), false};
  const auto each = [&](auto work) {
    for (int64_t sequence = 0; sequence < s.batch; sequence++)
      for (int64_t head = 0; head < s.heads; head++) work(sequence, head);
  };
  each([&](int64_t i, int64_t head) { kernels.forward(s, in, out, made.logSum.data(), i, head, scratch.data()); });
  each([&](int64_t i, int64_t head) {
    float* dbias = scores ? made.dbias.data() + head * s.tokens * s.tokens : nullptr;
    kernels.backward(s, {dout.data(), false}, in, out, made.logSum.data(), dqkv, dbias, i, head, scratch.data());
  });
  return made;
}

int main() {
  int products = 0, attentions = 0;
  double ofProducts = 0, ofAttentions = 0;
  constexpr int64_t kSizes[][3] = {{64, 96, 32}, {33, 17, 5},     {101, 70, 129}, {47, 193, 64},
                                   {40, 35, 4133}, {308, 300, 200}, {808, 128, 96}};
  for (const auto& [rows, columns, depth] : kSizes)
    for (int form = 0; form < 8; form++, products++) {
      const ProductShape s{rows, columns, depth, (form & 1) != 0, (form & 2) != 0};
      Floats a = randomFloats(rows * depth), b = randomFloats(columns * depth);
      const Floats bias = randomFloats(columns), residual = randomFloats(rows * columns);
      auto halfA = halves(a), halfB = halves(b);
      const bool half = (form & 4) != 0;
      const Numbers first = half ? Numbers{halfA.data(), true} : Numbers{a.data(), false};
      const Numbers second = half ? Numbers{halfB.data(), true} : Numbers{b.data(), false};
      const Addends addends{bias.data(), residual.data()};
      ofProducts = worse(ofProducts, difference(product(amx::kProducts, s, first, second, addends),
                                                product(avx512bf16::kProducts, s, first, second, addends)));
    }
  constexpr int64_t kTokens[][2] = {{1, 8}, {7, 24}, {17, 32}, {49, 64}, {101, 24}, {197, 64}, {300, 8}};
  for (const auto& [tokens, size] : kTokens)
    for (const bool added : {false, true}) {
      const int64_t batch = 2, heads = 2;
      Floats bias = randomFloats(heads * tokens * tokens), mask = randomFloats(batch * tokens * tokens);
      Floats qkv = randomFloats(batch * tokens * 3 * heads * size), dout = randomFloats(batch * tokens * heads * size);
      const AttentionShape s{batch, tokens, heads, size, 1 / std::sqrt(float(size)), added ? bias.data() : nullptr,
                             added ? mask.data() : nullptr, batch};
      const Attention one = attention(amx::kHalfAttention, s, qkv, dout);
      const Attention other = attention(avx512bf16::kHalfAttention, s, qkv, dout);
      for (const auto tensor : {&Attention::out, &Attention::logSum, &Attention::dqkv, &Attention::dbias})
        ofAttentions = worse(ofAttentions, difference(one.*tensor, other.*tensor));
      attentions++;
    }
  std::printf("{\"products\": [%d, %g], \"attentions\": [%d, %g]}\n", products, ofProducts, attentions, ofAttentions);
}
