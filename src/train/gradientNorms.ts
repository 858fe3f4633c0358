// Norms of gradients by part of a model: which layer moves when training shakes.
import { type Tensor, tf } from '../engine/index.js';
import type { Module } from '../nn/index.js';
import { globalNorm } from './clip.js';

/**
 * For each module of `paths` (`encoder.blocks.0`), the norm over the gradients of all parameters in it, a scalar; 0
 * where none of them trains.
 * @param gradients by the parameter's name in `model`
 * @throws VitlabError for a path at which there is no module
 */
export function gradientNorms(
  model: Module,
  gradients: ReadonlyMap<string, Tensor>,
  paths: readonly string[],
): Record<string, Tensor> {
  const norms = paths.map((path): [string, Tensor] => {
    model.get(path);
    const own = [...gradients].filter(([name]) => path === '' || name.startsWith(`${path}.`));
    return [path, own.length > 0 ? globalNorm(new Map(own)) : tf.scalar(0)];
  });
  return Object.fromEntries(norms);
}
