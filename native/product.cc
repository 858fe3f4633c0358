// Matrix products of bfloat16, or of float32 that is rounded to it, with sums in float32: on AMX, or with AVX-512's vectors.
//
// The second factor is packed first: in strips of 32 columns, its tiles lie in the order in which they are needed. Of the
// first, a block of strips of 32 rows stays in the near cache while the second passes by; it is packed where its numbers are
// not in that order already.
#include "product.h"

#include "half.h"

namespace vitlab {
namespace VITLAB_ISA {
namespace {

static_assert(kStrip == 2 * W, "a strip is two tiles");
/** Two tiles: a strip at 32 depths, which is a step. */
constexpr int64_t kPair = 2048;
/** Steps whose sum is taken before it is added to that of others: a strip of the first factor stays in the cache. */
constexpr int64_t kSteps = 128;
/** Bytes of the first factor that a block has at a time, and of the second: both stay in the near cache. */
constexpr int64_t kFirst = 1 << 20, kSecond = 1 << 18;
/** Of a strip by a strip. */
constexpr int64_t kSums = kStrip * kStrip;

/** 32 numbers in bfloat16. */
inline __m512i rounded(Numbers x, __mmask32 kept) {
  if (x.half) return _mm512_maskz_loadu_epi16(kept, x.data);
  const float* floats = static_cast<const float*>(x.data);
  return halves((vf)_mm512_maskz_loadu_ps(kept, floats), (vf)_mm512_maskz_loadu_ps(kept >> W, floats + W));
}

/** A factor in memory: the rows of the first, or the columns of the second, `size` of them at each depth. */
struct Factor {
  Numbers data;
  int64_t size, depth;
  /** Whether all of a depth lies at a stretch, else all of a row or column. */
  bool byDepth;
  /** Rows of tiles are rows of the first factor, and pairs of depths of the second. */
  bool second;
};

/** A strip of a factor at the depths of a step. What is outside is zero. */
void packStrip(const Factor& f, int64_t strip, int64_t step, uint8_t* to) {
  const int64_t across = strip * kStrip, down = step * kStrip;
  const int64_t first = f.byDepth ? down : across, rows = f.byDepth ? f.depth : f.size;
  const int64_t column = f.byDepth ? across : down, columns = f.byDepth ? f.size : f.depth;
  const __mmask32 kept = firstOf(columns - column);
  const auto row = [&](int64_t i) {
    const Numbers x = f.data.from(std::min(first + i, rows - 1) * columns + column);
    // rows are far apart: the processor would not fetch the next ones by itself
    const Numbers later = x.from(kStrip * columns);
    _mm_prefetch(static_cast<const char*>(later.data), _MM_HINT_T1);
    if (!x.half) _mm_prefetch(static_cast<const char*>(later.data) + 64, _MM_HINT_T1);
    return rounded(x, first + i < rows ? kept : 0);
  };
  __m512i tiles[2][W];
  for (int i = 0; i < W; i++) {
    if (f.byDepth) {
      const __m512i even = row(2 * i), odd = row(2 * i + 1);
      tiles[0][i] = paired(_mm512_inserti64x4(even, _mm512_castsi512_si256(odd), 1));
      tiles[1][i] = paired(_mm512_shuffle_i64x2(even, odd, 0xEE));
    } else {
      tiles[0][i] = row(i);
      tiles[1][i] = row(W + i);
    }
  }
  for (auto& tile : tiles) {
    if (f.byDepth != f.second) transposeWords(tile);
    for (int i = 0; i < W; i++, to += 64) _mm512_store_si512(to, tile[i]);
  }
}

/** What comes next of the second factor, so many bytes of it to be fetched for each step. */
struct Ahead {
  const uint8_t* data;
  int64_t each;
};

/** A strip of the first factor: packed, or where the tensor has it. */
struct Rows {
  const uint8_t* data;
  /** Bytes from row to row of a tile, from a tile to the one below it, and from step to step. */
  int64_t row, below, step;
};

/** How much of a strip by a strip is not padding: rows, and the depth in words of two. */
struct Extent {
  int64_t rows, words;
};

#if defined(__AMX_BF16__)
/** 32 × 32 sums = a strip of the first factor times one of the second. */
void multiply(Rows a, const uint8_t* b, Extent extent, float* sums, Ahead ahead) {
  const int64_t steps = (extent.words + W - 1) / W;
  // the compiler does not know that tiles are loaded from memory
  asm volatile("" ::: "memory");
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; step++, a.data += a.step, b += kPair) {
    _tile_loadd(4, a.data, a.row);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kPair / 2, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a.data + a.below, a.row);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    for (int64_t i = 0; i < ahead.each; i += 64, ahead.data += 64) _mm_prefetch(ahead.data, _MM_HINT_T1);
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  _tile_stored(2, sums + 512, 64);
  _tile_stored(3, sums + 768, 64);
  asm volatile("" ::: "memory");
}
#else
/** The same, but for rows that are padding. */
void multiply(Rows a, const uint8_t* b, Extent extent, float* sums, Ahead ahead) {
  const Steps inA{a.row / 4, 0, a.step / 4}, inB{0, W * W, 2 * W * W}, inC{W, W * W, 0};
  const uint32_t *rows = reinterpret_cast<const uint32_t*>(a.data), *columns = reinterpret_cast<const uint32_t*>(b);
  constexpr int64_t kParts = kStrip / kRegisterRows;
  const int64_t bytes = (extent.words + W - 1) / W * ahead.each, part = (bytes / 64 + kParts - 1) / kParts;
  for (int64_t i = 0; i < extent.rows; i += kRegisterRows) {
    for (int64_t line = 0; line < part; line++, ahead.data += 64) _mm_prefetch(ahead.data, _MM_HINT_T1);
    multiplyPairs<2>(rows + i * inA.row, inA, columns, inB, sums + i / W * 512 + i % W * W, inC, extent.words, false);
  }
}
#endif

/** total = or += sums. */
inline const float* added(float* total, const float* sums, bool first) {
  for (int64_t i = 0; i < kSums; i += W) store(total + i, first ? load(sums + i) : load(total + i) + load(sums + i));
  return total;
}

/** The product of two strips. */
struct Task {
  int64_t row, column;
};

/** Fetches the memory that `finish` will write. */
inline void expect(const ProductShape& s, Task task, Numbers c) {
  const int64_t row = task.row * kStrip, count = std::min(kStrip, s.rows - row);
  for (int64_t i = 0; i < count; i++) {
    const char* to = static_cast<const char*>(c.from((row + i) * s.columns + task.column * kStrip).data);
    __builtin_prefetch(to, 1);
    if (!c.half) __builtin_prefetch(to + 64, 1);
  }
}

/** Sums, with what is added to them, to where the result has them. */
void finish(const ProductShape& s, const float* sums, Task task, const Addends& addends, Numbers c) {
  const int64_t row = task.row * kStrip, column = task.column * kStrip;
  const __mmask32 kept = firstOf(s.columns - column);
  vf low{}, high{};
  if (addends.bias) {
    low = (vf)_mm512_maskz_loadu_ps(kept, addends.bias + column);
    high = (vf)_mm512_maskz_loadu_ps(kept >> W, addends.bias + column + W);
  }
  const int64_t count = std::min(kStrip, s.rows - row);
  for (int64_t i = 0; i < count; i++) {
    const float* sum = sums + i / W * 512 + i % W * W;
    vf x = load(sum) + low, y = load(sum + 256) + high;
    const int64_t position = (row + i) * s.columns + column;
    if (addends.residual) {
      x += (vf)_mm512_maskz_loadu_ps(kept, addends.residual + position);
      y += (vf)_mm512_maskz_loadu_ps(kept >> W, addends.residual + position + W);
    }
    const Numbers to = c.from(position);
    if (to.half) {
      _mm512_mask_storeu_epi16(to.data, kept, halves(x, y));
    } else {
      _mm512_mask_storeu_ps(to.data, kept, (__m512)x);
      _mm512_mask_storeu_ps(static_cast<float*>(to.data) + W, kept >> W, (__m512)y);
    }
  }
}

/** One block of a product. */
class Block {
 public:
  Block(const ProductShape& s, Numbers a, const uint8_t* second, const Addends& addends, Numbers c,
        const ProductBlock& block, uint8_t* scratch)
      : s_(s),
        a_(a),
        second_(second),
        addends_(addends),
        c_(c),
        block_(block),
        rows_(block.rowEnd - block.rowBegin),
        depth_(strips(s.depth)),
        once_(std::min(depth_, kSteps)),
        packed_(scratch),
        sums_(reinterpret_cast<float*>(scratch + rows_ * once_ * kPair)) {
    // whole strips of bfloat16 are used where they are
    if (a.half && !s.turnedA && s.depth % kStrip == 0) ready_ = std::min(rows_, s.rows / kStrip - block.rowBegin);
  }

  void compute() {
    const Tiles tiled;
    for (int64_t begin = 0; begin < depth_; begin += once_) {
      const int64_t steps = std::min(once_, depth_ - begin);
      packRows(begin, steps);
      multiplyAll(begin, steps);
    }
  }

 private:
  void packRows(int64_t begin, int64_t steps) {
    const Factor f{a_, s_.rows, s_.depth, s_.turnedA, false};
    const int64_t count = rows_ - ready_;
    for (int64_t n = 0; n < count * steps; n++) {
      const int64_t i = ready_ + (s_.turnedA ? n % count : n / steps), step = s_.turnedA ? n / count : n % steps;
      packStrip(f, block_.rowBegin + i, begin + step, packed_ + (i * steps + step) * kPair);
    }
  }

  Rows strip(int64_t i, int64_t begin, int64_t steps) const {
    if (i >= ready_) return {packed_ + i * steps * kPair, 64, kPair / 2, kPair};
    const int64_t row = 2 * s_.depth;
    const Numbers data = a_.from((block_.rowBegin + i) * kStrip * s_.depth + begin * kStrip);
    return {static_cast<const uint8_t*>(data.data), row, W * row, 64};
  }

  /** Sums are put away while the tiles compute the next: the processor looks far enough ahead. */
  void multiplyAll(int64_t begin, int64_t steps) {
    const int64_t near = std::max<int64_t>(1, kSecond / (steps * kPair)), share = (kPair / rows_ + 63) / 64 * 64;
    const int64_t words = (std::min(steps * kStrip, s_.depth - begin * kStrip) + 1) / 2;
    Task before{};
    int64_t count = 0;
    for (int64_t first = block_.columnBegin; first < block_.columnEnd; first += near)
      for (int64_t i = 0; i < rows_; i++)
        for (int64_t j = first; j < std::min(first + near, block_.columnEnd); j++, count++) {
          const Task task{block_.rowBegin + i, j};
          const uint8_t *right = second_ + (j * depth_ + begin) * kPair, *next = right + near * depth_ * kPair;
          if (begin + steps == depth_) expect(s_, task, c_);
          const Extent extent{std::min(kStrip, s_.rows - task.row * kStrip), words};
          multiply(strip(i, begin, steps), right, extent, latest(count),
                   {next + i * steps * share, j + near < block_.columnEnd ? share : 0});
          if (count > 0) conclude(before, latest(count - 1), begin, steps);
          before = task;
        }
    conclude(before, latest(count - 1), begin, steps);
  }

  void conclude(Task task, const float* sums, int64_t begin, int64_t steps) {
    if (depth_ > once_) {
      const int64_t place = (task.column - block_.columnBegin) * rows_ + task.row - block_.rowBegin;
      sums = added(sums_ + (2 + place) * kSums, sums, begin == 0);
    }
    if (begin + steps == depth_) finish(s_, sums, task, addends_, c_);
  }

  /** Memory for the sums of one task and of the one before it; behind them are those of all, where depths are many. */
  float* latest(int64_t count) const { return sums_ + count % 2 * kSums; }

  const ProductShape& s_;
  const Numbers a_;
  const uint8_t* const second_;
  const Addends& addends_;
  const Numbers c_;
  const ProductBlock& block_;
  /** Strips of rows; steps in all, and how many are taken at once. */
  const int64_t rows_, depth_, once_;
  /** Strips of rows that need no packing. */
  int64_t ready_ = 0;
  uint8_t* const packed_;
  float* const sums_;
};

void packUnit(const ProductShape& s, Numbers b, uint8_t* packed, int64_t unit) {
  const Factor f{b, s.columns, s.depth, !s.turnedB, true};
  const int64_t steps = strips(s.depth);
  // in the order in which the numbers are in memory
  if (s.turnedB) {
    for (int64_t step = 0; step < steps; step++) packStrip(f, unit, step, packed + (unit * steps + step) * kPair);
  } else {
    for (int64_t strip = 0; strip < strips(s.columns); strip++)
      packStrip(f, strip, unit, packed + (strip * steps + unit) * kPair);
  }
}

int64_t rowStrips(const ProductShape& s) { return kFirst / (std::min(strips(s.depth), kSteps) * kPair); }

int64_t productScratch(const ProductShape& s, const ProductBlock& block) {
  const int64_t rows = block.rowEnd - block.rowBegin, columns = block.columnEnd - block.columnBegin;
  const int64_t steps = strips(s.depth), once = std::min(steps, kSteps);
  return rows * once * kPair + (2 + (steps > once ? rows * columns : 0)) * kSums * sizeof(float);
}

void productBlock(const ProductShape& s, Numbers a, const uint8_t* second, const Addends& addends, Numbers c,
                  const ProductBlock& block, uint8_t* scratch) {
  Block(s, a, second, addends, c, block, scratch).compute();
}

}  // namespace

const Products kProducts = {packUnit, rowStrips, productScratch, productBlock};

}  // namespace VITLAB_ISA
}  // namespace vitlab
