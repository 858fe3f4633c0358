// y = x Wᵀ + b, with the weight as PyTorch keeps it.
import { type Tensor, tf } from '../../engine/index.js';

/** x `[…, in]`, weight `[out, in]`, bias `[out]` → `[…, out]`. One matrix product whatever the leading axes. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [outFeatures, inFeatures] = weight.shape as [number, number];
  const rows = x.rank === 2 ? (x as tf.Tensor2D) : tf.reshape(x, [-1, inFeatures] as [number, number]);
  const product = tf.matMul(rows as tf.Tensor2D, weight as tf.Tensor2D, false, true);
  const y = bias ? tf.add(product, bias) : product;
  return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), outFeatures]);
}
