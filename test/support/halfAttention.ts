// Attention between matrix products in bfloat16, with its gradients. As a script: prints the instructions, a digest of some
// results, and how far those of each case are off.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  nativeInstructions,
  Program,
  startEngine,
  type Tensor,
  tf,
  valueAndGradients,
  withPortableOps,
} from '../../src/engine/index.js';
import { attention, linear } from '../../src/nn/index.js';

export interface AttentionCase {
  batch: number;
  tokens: number;
  numHeads: number;
  size: number;
  /** Whether there are a bias, with its gradient, and a mask. */
  added: boolean;
}

/** Numbers that bfloat16 holds exactly. */
const halves = (shape: number[], seed: number): Tensor =>
  tf.div(tf.round(tf.mul(tf.clipByValue(tf.randomNormal(shape, 0, 1, 'float32', seed), -3.9, 3.9), 32)), 32);

/**
 * Output, gradient by qkv and, where there is one, by the bias. The layers before and behind multiply by 1, so that
 * `bf16` rounds what attention reads and writes, and nothing else.
 */
export function attentionBetweenProducts(
  { batch, tokens, numHeads, size, added }: AttentionCase,
  precision: 'fp32' | 'bf16',
): Record<string, Tensor> {
  const width = numHeads * size;
  const inputs: Record<string, Tensor> = {
    qkv: halves([batch, tokens, 3 * width], 1),
    direction: halves([batch, tokens, width], 2),
    before: tf.eye(3 * width),
    behind: tf.eye(width),
  };
  if (added) {
    inputs['bias'] = tf.randomNormal([numHeads, tokens, tokens], 0, 1, 'float32', 3);
    inputs['mask'] = tf.mul(tf.randomUniform([batch, tokens, tokens], 0, 1.4, 'int32', 4), -100);
  }
  const program = new Program({ precision }).define('attention', ({ qkv, direction, before, behind, bias, mask }) => {
    const layers = (): Tensor =>
      linear(attention(linear(qkv!, before!), { numHeads, scale: size ** -0.5, bias, mask }), behind!);
    const { gradients } = valueAndGradients(() => tf.sum(tf.mul(layers(), direction!)), added ? [qkv!, bias!] : [qkv!]);
    return { out: layers(), ...Object.fromEntries(gradients.map((gradient, i) => [['dqkv', 'dbias'][i], gradient])) };
  });
  const results = program.run('attention', inputs);
  program.dispose();
  return results;
}

/**
 * What the norm of each result is off, and its largest entry, from what ordinary ops make of the same: as shares of norm and
 * largest entry, where these are above 1.
 */
export function attentionErrors(
  shape: AttentionCase,
  precision: 'fp32' | 'bf16',
): Record<string, { norm: number; largest: number }> {
  const expected = withPortableOps(() => attentionBetweenProducts(shape, 'fp32'));
  const results = attentionBetweenProducts(shape, precision);
  const share = (measure: (x: Tensor) => Tensor, key: string): number => {
    const off = measure(tf.sub(results[key]!, expected[key]!)).dataSync()[0]!;
    // JSON has no NaN: it would be printed as null, which is below everything
    assert.ok(Number.isFinite(off), `${key} is off by ${off}`);
    return off / Math.max(1, measure(expected[key]!).dataSync()[0]!);
  };
  return Object.fromEntries(
    Object.keys(expected).map((key) => {
      return [key, { norm: share((x) => tf.norm(x), key), largest: share((x) => tf.max(tf.abs(x)), key) }];
    }),
  );
}

/** Tokens and sizes of heads that are whole strips of 16 and 32, and others; more tokens than are taken at a time. */
export const ATTENTION_CASES: readonly AttentionCase[] = (
  [
    ...[[1, 8] as const, [7, 24] as const, [17, 32] as const, [49, 64] as const],
    ...[[101, 24] as const, [197, 64] as const, [300, 8] as const],
  ] as const
).flatMap(([tokens, size]) => [false, true].map((added) => ({ batch: 2, tokens, numHeads: 2, size, added })));

async function main(): Promise<void> {
  await startEngine('tensorflow');
  const hash = createHash('sha256');
  for (const added of [false, true]) {
    const results = attentionBetweenProducts({ batch: 5, tokens: 49, numHeads: 3, size: 32, added }, 'bf16');
    for (const tensor of Object.values(results)) hash.update(tensor.dataSync());
  }
  const errors = ATTENTION_CASES.map((shape) => attentionErrors(shape, 'bf16'));
  console.log(JSON.stringify({ ...nativeInstructions(), digest: hash.digest('hex'), errors }));
}

if (require.main === module) void main();
