// Matrix products in bfloat16 (product.cc), for processors that multiply it.
#pragma once
#include "kernels.h"

namespace vitlab {

/** c [rows, columns] = a [rows, depth] b [depth, columns]. */
struct ProductShape {
  int64_t rows, columns, depth;
  /** Whether a is given as its transpose, and b. */
  bool turnedA, turnedB;
};

/** Rows, columns or depths that are taken at a time. */
constexpr int64_t kStrip = 32;
inline int64_t strips(int64_t n) { return (n + kStrip - 1) / kStrip; }

/** Part of a product: strips of rows and of columns. */
struct ProductBlock {
  int64_t rowBegin, rowEnd, columnBegin, columnEnd;
};

/** What is added to a product: a bias `[columns]` and a residual `[rows, columns]`, each or none. */
struct Addends {
  const float *bias, *residual;
};

/** Bytes that the second factor takes, packed. */
inline int64_t packedBytes(const ProductShape& s) { return strips(s.columns) * strips(s.depth) * kStrip * kStrip * 2; }
/** Packing the second factor is so many units of work. */
inline int64_t packUnits(const ProductShape& s) { return s.turnedB ? strips(s.columns) : strips(s.depth); }

struct Products {
  void (*packUnit)(const ProductShape& shape, Numbers b, uint8_t* packed, int64_t unit);
  /** The most strips of rows that a block should have. */
  int64_t (*rowStrips)(const ProductShape& shape);
  /** Bytes of scratch, aligned to 64, that a block needs. */
  int64_t (*scratch)(const ProductShape& shape, const ProductBlock& block);
  /** The part of c in a block; the second factor is packed. */
  void (*block)(const ProductShape& shape, Numbers a, const uint8_t* second, const Addends& addends, Numbers c,
                const ProductBlock& block, uint8_t* scratch);
};

namespace amx {
extern const Products kProducts;
}
namespace avx512bf16 {
extern const Products kProducts;
}

/** Those of this processor; null where it cannot multiply bfloat16. */
const Products* products();

}  // namespace vitlab
