// y = x Wᵀ + b, with the weight as PyTorch keeps it.
import { executeNative, hasNativeOps, type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

const native = defineOp<'x' | 'bias'>({
  name: 'NativeAddBias',
  // TensorFlow's graph optimiser fuses it with the product before it
  forward: ({ x, bias }) => executeNative('BiasAdd', [x, bias], 1, { T: { type: 'float' } }),
  saves: [],
  gradient: (dy) => ({ x: () => dy.clone(), bias: () => executeNative('VitlabColumnSum', [dy])[0]! }),
});

/** x `[…, D]` plus bias `[D]`. */
export const addBias = (x: Tensor, bias: Tensor): Tensor => (hasNativeOps() ? native({ x, bias }) : tf.add(x, bias));

/** x `[…, in]`, weight `[out, in]`, bias `[out]` → `[…, out]`. One matrix product whatever the leading axes. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [outFeatures, inFeatures] = weight.shape as [number, number];
  const rows = x.rank === 2 ? (x as tf.Tensor2D) : tf.reshape(x, [-1, inFeatures] as [number, number]);
  const product = tf.matMul(rows as tf.Tensor2D, weight as tf.Tensor2D, false, true);
  const y = bias ? addBias(product, bias) : product;
  return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), outFeatures]);
}
