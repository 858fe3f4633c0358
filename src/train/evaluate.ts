// Evaluation: one pass over a source of batches, each example counted once whatever the size of the last batch.
import { Program, readable, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import type { BatchSource, LabelledBatch } from './batches.js';
import { Interrupted, InterruptWatch } from './interrupt.js';
import { evaluateStep, predictStep } from './step.js';

/** Mean loss (nats) and the shares of examples whose label is among the best one and the best five. */
export interface Evaluation {
  loss: number;
  top1: number;
  top5: number;
  examples: number;
}

/** Evaluates `model` on one epoch of `source`. @throws Interrupted */
export async function evaluate(
  model: Module,
  source: BatchSource,
  options: { precision?: 'fp32' | 'bf16'; mode?: 'replay' | 'eager' } = {},
): Promise<Evaluation> {
  const program = new Program(options).define('evaluate', evaluateStep(model));
  const watch = new InterruptWatch();
  try {
    const result = await runEvaluation(program, source, watch);
    if (result === 'interrupted') throw new Interrupted('The evaluation was stopped.');
    return result;
  } finally {
    watch.stopListening();
    program.dispose();
  }
}

/** The label and the predicted class of each image of one epoch of `source`, in its order. @throws Interrupted */
export async function predict(
  model: Module,
  source: BatchSource,
  options: { precision?: 'fp32' | 'bf16'; mode?: 'replay' | 'eager' } = {},
): Promise<{ labels: Int32Array; predicted: Int32Array }> {
  const program = new Program(options).define('predict', predictStep(model));
  const watch = new InterruptWatch();
  const [labels, predicted]: [number[], number[]] = [[], []];
  try {
    for await (const batch of source.epoch(0)) {
      const inputs = { images: paddedImages(batch, source.batchSize) };
      const outputs = program.run('predict', inputs);
      await readable(Object.values(outputs));
      labels.push(...batch.labels);
      predicted.push(...(outputs['predicted']!.dataSync() as Int32Array).subarray(0, batch.labels.length));
      tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
      if (watch.requested) throw new Interrupted('The prediction was stopped.');
      await breathe();
    }
  } finally {
    watch.stopListening();
    program.dispose();
  }
  return { labels: Int32Array.from(labels), predicted: Int32Array.from(predicted) };
}

/** The evaluation of a program's step `evaluate`, or the word that it was asked to stop. */
export async function runEvaluation(
  program: Program,
  source: BatchSource,
  watch: InterruptWatch,
): Promise<Evaluation | 'interrupted'> {
  const sums = { loss: 0, top1: 0, top5: 0 };
  let examples = 0;
  for await (const batch of source.epoch(0)) {
    const inputs = padded(batch, source.batchSize);
    const outputs = program.run('evaluate', inputs);
    await readable(Object.values(outputs));
    for (const key of ['loss', 'top1', 'top5'] as const) sums[key] += outputs[key]!.dataSync()[0]!;
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    examples += batch.labels.length;
    if (watch.requested) return 'interrupted';
    await breathe();
  }
  if (examples === 0) throw new TrainingError('There is nothing to evaluate: the data gave no batch.');
  return { loss: sums.loss / examples, top1: sums.top1 / examples, top5: sums.top5 / examples, examples };
}

/** A batch filled up to `size` rows, with a mask that says which rows are examples. */
function padded(batch: LabelledBatch, size: number): Record<'images' | 'labels' | 'mask', tf.Tensor> {
  const { labels } = batch;
  return {
    images: paddedImages(batch, size),
    labels: tf.tensor1d(filledUp(labels, size), 'int32'),
    mask: tf.tensor1d(new Float32Array(size).fill(1, 0, labels.length)),
  };
}

/** The images of a batch, filled up to `size` of them. */
export function paddedImages({ images, shape: [, ...rest] }: LabelledBatch, size: number): tf.Tensor {
  return tf.tensor(filledUp(images, size * rest.reduce((a, b) => a * b, 1)), [size, ...rest]);
}

function filledUp<T extends Float32Array | Int32Array>(values: T, length: number): T {
  if (values.length === length) return values;
  const target = new (values.constructor as new (length: number) => T)(length);
  target.set(values);
  return target;
}

/** Lets timers, signals and messages through between two steps. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
