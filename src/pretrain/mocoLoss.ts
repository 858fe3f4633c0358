// The contrastive loss of MoCo v3, Chen et al. 2021 (arXiv:2104.02057), algorithm 1.
import { type Tensor, tf } from '../engine/index.js';
import { crossEntropy } from '../train/index.js';

const SMALLEST_NORM = 1e-12;

/** Rows of length 1. */
const unitRows = (x: Tensor): Tensor =>
  tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), -1, true), SMALLEST_NORM ** 2)));

/**
 * How badly queries find their own keys among all keys: the mean cross entropy of q kᵀ / temperature over rows of length
 * 1, times 2 · temperature.
 * @param queries `[B, D]`
 * @param keys `[B, D]`; computed outside of the differentiated function, they get no gradient
 */
export function contrastiveLoss(queries: Tensor, keys: Tensor, temperature: number): Tensor {
  const similarity = tf.matMul(unitRows(queries), unitRows(keys), false, true);
  const own = tf.range(0, queries.shape[0]!, 1, 'int32');
  return tf.mul(crossEntropy(tf.div(similarity, temperature), own), 2 * temperature);
}

/** The queries of each view against the keys of the other: contrastiveLoss(q1, k2) + contrastiveLoss(q2, k1). */
export function mocoLoss(q1: Tensor, k1: Tensor, q2: Tensor, k2: Tensor, temperature: number): Tensor {
  return tf.add(contrastiveLoss(q1, k2, temperature), contrastiveLoss(q2, k1, temperature));
}
