// Matrix products in bfloat16 of every form. As a script: prints the instructions and a digest of all results.
import { createHash } from 'node:crypto';
import { nativeInstructions, Program, startEngine, type Tensor, tf } from '../../src/engine/index.js';
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

async function main(): Promise<void> {
  await startEngine('tensorflow');
  const digest = createHash('sha256');
  for (const shape of PRODUCT_CASES) {
    for (const tensor of Object.values(halfProducts(shape))) digest.update(tensor.dataSync());
  }
  console.log(JSON.stringify({ half: nativeInstructions()?.half, digest: digest.digest('hex') }));
}

if (require.main === module) void main();
