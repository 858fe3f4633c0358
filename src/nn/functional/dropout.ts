// Dropout, Srivastava et al. 2014: entries become zero with probability p, and the rest are scaled by 1 / (1 - p).
import { executeOwn, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { UsageError } from '../../errors.js';
import type { ForwardContext } from '../context.js';
import { defineOp } from './op.js';

const scaleOf = (p: number): number => 1 / (1 - p);

const own = defineOp<'x' | 'seed', { p: number }>({
  name: 'OwnDropout',
  forward: ({ x, seed }, { p }) => ownDropout(x, seed, p),
  saves: ['seed'],
  gradient: (dy, { seed }, { p }) => ({
    // the same entries again, so that no mask is kept
    x: () => ownDropout(dy, seed, p),
    seed: () => tf.zerosLike(seed),
  }),
});

const ownDropout = (x: Tensor, seed: Tensor, p: number): Tensor =>
  executeOwn('VitlabDropout', [x, seed], 1, { p: { float: p }, scale: { float: scaleOf(p) } })[0]!;

/**
 * Drops entries of x with probability `p`, and shares each decision along the axes that have size 1 in `shape`.
 * Decisions follow from the context's key, `purpose` and how many draws came before.
 * @throws UsageError without a context
 */
export function dropout(x: Tensor, shape: number[], p: number, purpose: string, context?: ForwardContext): Tensor {
  if (!context) throw new UsageError(`${purpose} is active and needs a context with a random key.`);
  const each = shape.every((size, axis) => size === x.shape[axis]);
  if (each && hasOwnOp('VitlabDropout')) return own({ x, seed: context.seed(purpose) }, { p });
  const keep = tf.cast(tf.greaterEqual(context.uniform(shape, purpose), p), 'float32');
  return tf.mul(x, tf.mul(keep, scaleOf(p)));
}
