// y = x Wᵀ + b, with the weight as PyTorch keeps it.
import { executeOwn, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

/**
 * a b of matrices, or of their transposes. For the forward and the gradients of ops: an engine's own product has no
 * gradient itself.
 */
export const matrixProduct = (a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor =>
  hasOwnOp('VitlabMatMul')
    ? executeOwn('VitlabMatMul', [a, b], 1, { transposeA: { bool: transposeA }, transposeB: { bool: transposeB } })[0]!
    : tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, transposeA, transposeB);

const columnSum = (dy: Tensor): Tensor => executeOwn('VitlabColumnSum', [dy])[0]!;

const ownAddBias = defineOp<'x' | 'bias'>({
  name: 'OwnAddBias',
  // TensorFlow's graph optimiser fuses its own with the product before it
  forward: ({ x, bias }) =>
    hasOwnOp('BiasAdd') ? executeOwn('BiasAdd', [x, bias], 1, { T: { type: 'float' } })[0]! : tf.add(x, bias),
  saves: [],
  gradient: (dy) => ({ x: () => dy.clone(), bias: () => columnSum(dy) }),
});

/** x `[…, D]` plus bias `[D]`. */
export const addBias = (x: Tensor, bias: Tensor): Tensor =>
  hasOwnOp('VitlabColumnSum') ? ownAddBias({ x, bias }) : tf.add(x, bias);

const ownLinear = defineOp<'x' | 'weight' | 'bias'>({
  name: 'OwnLinear',
  forward: (inputs) => executeOwn('VitlabLinear', [inputs.x, inputs.weight, inputs.bias])[0]!,
  saves: ['x', 'weight'],
  gradient: (dy, { x, weight }) => ({
    x: () => matrixProduct(dy, weight),
    weight: () => matrixProduct(dy, x, true),
    bias: () => columnSum(dy),
  }),
});

/** What `compute` makes of the rows of x `[…, in]`: `[N, in]` → `[N, out]`, back in the leading axes of x. */
export function onRows(x: Tensor, compute: (rows: tf.Tensor2D) => Tensor): Tensor {
  if (x.rank === 2) return compute(x as tf.Tensor2D);
  const leading = x.shape.slice(0, -1);
  const y = compute(tf.reshape(x, [-1, x.shape.at(-1)!]));
  return tf.reshape(y, [...leading, y.shape[1]!]);
}

/** x `[…, in]`, weight `[out, in]`, bias `[out]` → `[…, out]`. One matrix product whatever the leading axes. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return onRows(x, (rows) => {
    if (bias && hasOwnOp('VitlabLinear')) return ownLinear({ x: rows, weight, bias });
    const product = tf.matMul(rows, weight as tf.Tensor2D, false, true);
    return bias ? addBias(product, bias) : product;
  });
}
