// Features of a data set: the vector that a model gives its head, for each image.
import type { Program, ProgramOptions, Step, Tensor } from '../engine/index.js';
import { ForwardContext, type Module } from '../nn/index.js';
import type { BatchSource } from './batches.js';
import type { InterruptWatch } from './interrupt.js';
import { passOver, withProgram } from './pass.js';

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
  options: ProgramOptions = {},
): Promise<Features> {
  return withProgram('features', featuresStep(model), options, (program, watch) => runFeatures(program, source, watch));
}

/** The same by a program's step `features`. @throws Interrupted */
export async function runFeatures(program: Program, source: BatchSource, watch: InterruptWatch): Promise<Features> {
  const parts: Float32Array[] = [];
  const labels: number[] = [];
  let dim = 0;
  await passOver(program, 'features', source, watch, (outputs, batch) => {
    const features = outputs['features']!;
    dim = features.shape[1]!;
    parts.push((features.dataSync() as Float32Array).slice(0, batch.labels.length * dim));
    labels.push(...batch.labels);
  });
  const values = new Float32Array(labels.length * dim);
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { values, dim, labels: Int32Array.from(labels) };
}
