// Features of a data set: the vector that a model gives its head, for each image.
import { Program, type Step, type Tensor, tf } from '../engine/index.js';
import { ForwardContext, type Module } from '../nn/index.js';
import type { BatchSource } from './batches.js';
import { breathe, paddedImages } from './evaluate.js';
import { Interrupted, InterruptWatch } from './interrupt.js';

/** A model that can be asked what its head would see. */
export interface FeatureModel extends Module {
  readonly numFeatures: number;
  /** Images `[B, H, W, C]` → features before pooling. */
  forwardFeatures(images: Tensor, context?: ForwardContext): Tensor;
  /** Features → one vector an image, `[B, numFeatures]`. */
  pool(features: Tensor): Tensor;
}

/** One vector an image, and the images' labels. */
export interface Features {
  /** `[n, dim]`, row by row. */
  values: Float32Array;
  dim: number;
  labels: Int32Array;
}

/** Input: images `[B, H, W, C]`. Output: features `[B, numFeatures]`. */
export function featuresStep(model: FeatureModel): Step {
  return ({ images }) => {
    model.eval();
    return { features: model.pool(model.forwardFeatures(images!, new ForwardContext())) };
  };
}

/** The features of each image of one epoch of `source`, in its order. @throws Interrupted */
export async function extractFeatures(
  model: FeatureModel,
  source: BatchSource,
  options: { precision?: 'fp32' | 'bf16'; mode?: 'replay' | 'eager' } = {},
): Promise<Features> {
  const program = new Program(options).define('features', featuresStep(model));
  const watch = new InterruptWatch();
  try {
    const features = await runFeatures(program, source, watch);
    if (features === 'interrupted') throw new Interrupted('The extraction of features was stopped.');
    return features;
  } finally {
    watch.stopListening();
    program.dispose();
  }
}

/** The same by a program's step `features`, or the word that it was asked to stop. */
export async function runFeatures(
  program: Program,
  source: BatchSource,
  watch: InterruptWatch,
): Promise<Features | 'interrupted'> {
  const parts: Float32Array[] = [];
  const labels: number[] = [];
  let dim = 0;
  for await (const batch of source.epoch(0)) {
    const inputs = { images: paddedImages(batch, source.batchSize) };
    const outputs = program.run('features', inputs);
    const features = outputs['features']!;
    dim = features.shape[1]!;
    parts.push((await features.data<'float32'>()).slice(0, batch.labels.length * dim));
    labels.push(...batch.labels);
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    if (watch.requested) return 'interrupted';
    await breathe();
  }
  const values = new Float32Array(labels.length * dim);
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { values, dim, labels: Int32Array.from(labels) };
}
