// Matrix products in bfloat16 of every form. As a script: prints the instructions, a digest of all results, and how far
// those of each case are off.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { nativeInstructions, Program, startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { hasHalfProducts } from '../../src/engine/nativeOps.js';
import { addBias } from '../../src/nn/index.js';

export interface ProductCase {
  rows: number;
  columns: number;
  depth: number;
  /** Whether each factor is given as its transpose. */
  turned: readonly [boolean, boolean];
}

/** Sizes that are whole strips of 32 and others, and a sum that is longer than one block of depths. */
export const PRODUCT_CASES: readonly ProductCase[] = [
  { rows: 64, columns: 96, depth: 32, turned: [false, false] },
  { rows: 33, columns: 17, depth: 5, turned: [true, true] },
  { rows: 101, columns: 70, depth: 129, turned: [false, true] },
  { rows: 47, columns: 193, depth: 64, turned: [true, false] },
  { rows: 40, columns: 35, depth: 4133, turned: [true, false] },
  { rows: 700, columns: 300, depth: 1000, turned: [false, true] },
];

const random = (shape: number[], seed: number): Tensor => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** The factors of a case and what is added: a bias for each column, and a residual. */
export function productInputs({
  rows,
  columns,
  depth,
  turned,
}: ProductCase): Record<'a' | 'b' | 'bias' | 'rest', Tensor> {
  return {
    a: random(turned[0] ? [depth, rows] : [rows, depth], 1),
    b: random(turned[1] ? [columns, depth] : [depth, columns], 2),
    bias: random([columns], 3),
    rest: random([rows, columns], 4),
  };
}

/** The product alone, with a bias, and with a bias, reshaped, beside a residual; and multiplied by one. */
export function halfProducts(shape: ProductCase): Record<string, Tensor> {
  const { rows, columns, turned } = shape;
  const { a, b, bias, rest } = productInputs(shape);
  const program = new Program({ precision: 'bf16' }).define(
    'products',
    ({ one, two, three, four, b, bias, rest, unit }) => {
      const product = (a: Tensor): Tensor => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, ...turned);
      const flat = (x: Tensor): Tensor => tf.reshape(x, [1, rows, columns]);
      return {
        plain: product(one!),
        biased: addBias(product(two!), bias!),
        all: tf.add(flat(rest!), flat(addBias(product(three!), bias!))),
        again: tf.matMul(product(four!) as tf.Tensor2D, unit as tf.Tensor2D),
      };
    },
  );
  // equal products would be recorded as one, which all would read
  const copies = { one: a, two: a.clone(), three: a.clone(), four: a.clone() };
  const results = program.run('products', { ...copies, b, bias, rest, unit: tf.eye(columns) });
  program.dispose();
  return results;
}

/** As bfloat16 rounds it: to the nearest, to even between two. */
function rounded(values: ArrayLike<number>): Float32Array {
  const floats = Float32Array.from(values);
  const bits = new Uint32Array(floats.buffer);
  bits.forEach((word, i) => {
    bits[i] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  });
  return floats;
}

/**
 * The largest distance of a result from the product of rounded factors, summed in float64, and what is added to it: as a share
 * of what a sum in float32 and rounding may be off. TensorFlow's own products are rounded to bfloat16.
 */
export function largestError(shape: ProductCase, results: Record<string, Tensor>): number {
  const { rows, columns, depth, turned } = shape;
  const inputs = productInputs(shape);
  const [a, b] = [rounded(inputs.a.dataSync()), rounded(inputs.b.dataSync())];
  const [bias, rest] = [inputs.bias.dataSync(), inputs.rest.dataSync()];
  const made = Object.fromEntries(Object.entries(results).map(([key, y]) => [key, y.dataSync()]));
  const tolerance = 4e-6 * Math.sqrt(depth);
  let largest = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) {
        sum += a[turned[0] ? k * rows + i : i * depth + k]! * b[turned[1] ? j * depth + k : k * columns + j]!;
      }
      const at = i * columns + j;
      const expected = { plain: sum, biased: sum + bias[j]!, all: sum + bias[j]! + rest[at]!, again: sum };
      for (const [key, value] of Object.entries(expected)) {
        // the first of two products is rounded before the second
        const rounded = (hasHalfProducts() ? 0 : 1) + (key === 'again' ? 1 : 0);
        const allowed = tolerance + rounded * Math.abs(sum) * 2 ** -8;
        const share = Math.abs(made[key]![at]! - value) / allowed;
        // JSON has no NaN: it would be printed as null, which is below everything
        assert.ok(Number.isFinite(share), `${key}[${i}, ${j}] is ${made[key]![at]}`);
        largest = Math.max(largest, share);
      }
    }
  }
  return largest;
}

async function main(): Promise<void> {
  await startEngine('tensorflow');
  const digest = createHash('sha256');
  const errors = PRODUCT_CASES.map((shape) => {
    const results = halfProducts(shape);
    for (const tensor of Object.values(results)) digest.update(tensor.dataSync());
    return largestError(shape, results);
  });
  console.log(JSON.stringify({ ...nativeInstructions(), digest: digest.digest('hex'), errors }));
}

if (require.main === module) void main();
