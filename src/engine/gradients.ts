// A value and its gradients.
import { VitlabError } from '../errors.js';
import { type Tensor, tf } from './tf.js';

/**
 * The scalar `f()` and its gradients with respect to `xs`, in their order. Nothing is computed for other tensors, and
 * nothing below the lowest of `xs`. The caller disposes of what it gets.
 * @throws VitlabError where `f` gives no scalar or does not depend on one of `xs`
 */
export function valueAndGradients(f: () => Tensor, xs: readonly Tensor[]): { value: Tensor; gradients: Tensor[] } {
  const { value, grads } = tf.engine().gradients(f, [...xs], undefined, true);
  if (value.size !== 1) throw new VitlabError(`Gradients need a scalar, but f() has shape [${value.shape}].`);
  const missing = grads.findIndex((gradient) => gradient === null || gradient === undefined);
  if (missing >= 0) {
    const x = xs[missing]! as Tensor & { name?: string };
    throw new VitlabError(`The value does not depend on ${x.name ?? `tensor ${missing}`} of shape [${x.shape}].`);
  }
  return { value, gradients: grads };
}
