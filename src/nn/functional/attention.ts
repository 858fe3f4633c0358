// Scaled dot-product attention, Vaswani et al. 2017 (arXiv:1706.03762).
import { type Tensor, tf } from '../../engine/index.js';

/**
 * softmax(q kᵀ · scale + bias): who looks where. q and k `[B, heads, N, d]`, bias broadcast to `[B, heads, N, N]`.
 */
export function attentionWeights(q: Tensor, k: Tensor, scale: number, bias?: Tensor): Tensor {
  const scores = tf.matMul(tf.mul(q, scale), k, false, true);
  return tf.softmax(bias ? tf.add(scores, bias) : scores);
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
