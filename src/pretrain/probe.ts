// The linear probe, which judges what came of pre-training.
import { createHash } from 'node:crypto';
import { readable } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import { type FitOptions, type FitResult, fit } from '../train/index.js';

/**
 * Trains what is trainable in the model (a head, after `tune(model, 'linear', …)`) and makes sure that nothing else moved,
 * as MoCo's linear evaluation does before it trusts its figure.
 * @throws TrainingError, beside what `fit` throws, naming a frozen tensor that is not bit for bit what it was
 */
export async function linearProbe(options: FitOptions): Promise<FitResult> {
  const before = await frozenTensors(options.model);
  const result = await fit(options);
  const after = await frozenTensors(options.model);
  for (const [name, digest] of before) {
    if (after.get(name) === digest) continue;
    throw new TrainingError(
      `${name} is frozen, but the linear probe changed it: its accuracy says nothing of the backbone.`,
    );
  }
  return result;
}

/** A digest of every tensor that training must not change, buffers included. */
async function frozenTensors(model: Module): Promise<Map<string, string>> {
  const frozen = [...model.namedParameters()].filter(([, { trainable }]) => !trainable);
  const tensors = [...frozen, ...model.namedBuffers()];
  await readable(tensors.map(([, { value }]) => value));
  return new Map(
    tensors.map(([name, { value }]) => [
      name,
      createHash('sha256')
        .update(value.dataSync() as Float32Array)
        .digest('hex'),
    ]),
  );
}
