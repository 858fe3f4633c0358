// Scaled dot-product attention, Vaswani et al. 2017 (arXiv:1706.03762).
import { executeOwn, executeOwnOutput, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

export interface AttentionSettings {
  numHeads: number;
  /** Factor on q kᵀ. */
  scale: number;
  /** Added to the scores of every sequence, `[heads, N, N]`. */
  bias?: Tensor | undefined;
  /** Added to those of sequence b: number b mod W of `[W, N, N]`. No gradient goes into it. */
  mask?: Tensor | undefined;
}

/** qkv `[B, N, 3·heads·d]` → `[B, N, heads·d]`: each token a mean of values by softmax(q kᵀ · scale + bias + mask). */
export function attention(qkv: Tensor, { numHeads, scale, bias, mask }: AttentionSettings): Tensor {
  if (!hasOwnOp('VitlabAttention')) {
    const [q, k, v] = splitHeads(qkv, numHeads);
    return mergeHeads(tf.matMul(attentionWeights(q, k, scale, bias, mask), v));
  }
  const none = tf.zeros([0]);
  return own({ qkv, bias: bias ?? none, mask: mask ?? none }, { numHeads, scale });
}

/** softmax(q kᵀ · scale + bias + mask): who looks where. q and k `[B, heads, N, d]` → `[B, heads, N, N]`. */
export function attentionWeights(q: Tensor, k: Tensor, scale: number, bias?: Tensor, mask?: Tensor): Tensor {
  const scores = tf.matMul(tf.mul(q, scale), k, false, true);
  if (!mask) return tf.softmax(bias ? tf.add(scores, bias) : scores);
  const [, heads, size] = scores.shape as [number, number, number];
  const count = mask.shape[0]!;
  const perSequence = tf.reshape(mask, [count, 1, size, size]);
  const both = bias ? tf.add(bias, perSequence) : perSequence;
  const perImage = tf.reshape(scores, [-1, count, heads, size, size]);
  return tf.softmax(tf.reshape(tf.add(perImage, both), scores.shape));
}

/** `[B, N, 3, heads, d]` flattened as `[B, N, 3·heads·d]` → q, k, v, each `[B, heads, N, d]`. */
export function splitHeads(qkv: Tensor, numHeads: number): [Tensor, Tensor, Tensor] {
  const [batch, tokens, width] = qkv.shape as [number, number, number];
  const split = tf.transpose(tf.reshape(qkv, [batch, tokens, 3, numHeads, width / (3 * numHeads)]), [2, 0, 3, 1, 4]);
  return tf.unstack(split, 0) as [Tensor, Tensor, Tensor];
}

/** `[B, heads, N, d]` → `[B, N, heads·d]`. */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, tokens, size] = x.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * size]);
}

interface Attributes {
  numHeads: number;
  scale: number;
}

const attributesOf = ({ numHeads, scale }: Attributes) => ({ heads: { int: numHeads }, scale: { float: scale } });

/** Attention that never holds the scores of more than a few rows: its gradient computes them again. */
const own = defineOp<'qkv' | 'bias' | 'mask', Attributes>({
  name: 'OwnAttention',
  outputs: 2,
  forward: ({ qkv, bias, mask }, attributes) =>
    executeOwn('VitlabAttention', [qkv, bias, mask], 2, attributesOf(attributes)),
  saves: ['qkv', 'bias', 'mask'],
  savesOutput: true,
  gradient: (dy, { qkv, bias, mask, outputs: [out, logSum] }, attributes) => {
    // two equal ops, of which a recording makes one
    const part = (output: number): Tensor => {
      const inputs = [dy, qkv, bias, mask, out!, logSum!];
      return executeOwnOutput(output, 'VitlabAttentionGrad', inputs, 2, attributesOf(attributes));
    };
    return { qkv: () => part(0), bias: () => part(1), mask: () => tf.zerosLike(mask) };
  },
});
