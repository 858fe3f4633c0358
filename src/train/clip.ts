// Clipping by the norm over all gradients together, as torch.nn.utils.clip_grad_norm_ does it.
import { type Tensor, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';

/** √(sum of all squares), a scalar. */
export function globalNorm(gradients: ReadonlyMap<string, Tensor>): Tensor {
  return tf.tidy(() => tf.sqrt(tf.addN([...gradients.values()].map((gradient) => tf.sum(tf.square(gradient))))));
}

/**
 * Gradients times min(1, maxNorm / (norm + 1e-6)), and the norm before. The caller disposes of both.
 * @throws UsageError where maxNorm is not above 0 or there are no gradients
 */
export function clipByGlobalNorm(
  gradients: ReadonlyMap<string, Tensor>,
  maxNorm: number,
): { gradients: Map<string, Tensor>; norm: Tensor } {
  if (!(maxNorm > 0)) throw new UsageError(`maxNorm must be above 0, got ${maxNorm}.`);
  if (gradients.size === 0) throw new UsageError('There are no gradients to clip.');
  const norm = globalNorm(gradients);
  const factor = tf.tidy(() => tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1));
  const clipped = new Map([...gradients].map(([name, gradient]) => [name, tf.mul(gradient, factor)]));
  factor.dispose();
  return { gradients: clipped, norm };
}
