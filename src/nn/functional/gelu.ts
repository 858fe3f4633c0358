// GELU, Hendrycks & Gimpel 2016 (arXiv:1606.08415), the exact form: x · Φ(x).
import { executeOwn, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

const cdf = (x: Tensor): Tensor => tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
const density = (x: Tensor): Tensor => tf.mul(1 / Math.sqrt(2 * Math.PI), tf.exp(tf.mul(-0.5, tf.square(x))));

const composed = defineOp<'x'>({
  name: 'Gelu',
  forward: ({ x }) => tf.mul(x, cdf(x)),
  saves: ['x'],
  gradient: (dy, { x }) => ({ x: () => tf.mul(dy, tf.add(cdf(x), tf.mul(x, density(x)))) }),
});

const own = defineOp<'x'>({
  name: 'OwnGelu',
  forward: ({ x }) => executeOwn('VitlabGelu', [x]),
  saves: ['x'],
  gradient: (dy, { x }) => ({ x: () => executeOwn('VitlabGeluGrad', [dy, x])[0]! }),
});

/** x · Φ(x) with the normal distribution function Φ (not the tanh approximation), of any shape. */
export const gelu = (x: Tensor): Tensor => (hasOwnOp('VitlabGelu') ? own : composed)({ x });
