// Losses.
import { type Tensor, tf } from '../engine/index.js';

/** Mean cross entropy of logits `[B, C]` and int32 labels `[B]`, in nats. */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const classes = logits.shape[1]!;
  const target = tf.oneHot(labels as tf.Tensor1D, classes);
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), target), 1)));
}
