// Evaluation: one pass over a source of batches, each example counted once whatever the size of the last batch.
import { Program, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import type { BatchSource, LabelledBatch } from './batches.js';
import { Interrupted, InterruptWatch } from './interrupt.js';
import { evaluateStep } from './step.js';

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
function padded(
  { images, shape, labels }: LabelledBatch,
  size: number,
): Record<'images' | 'labels' | 'mask', tf.Tensor> {
  const [count, ...rest] = shape;
  const pixels = rest.reduce((a, b) => a * b, 1);
  const filled = <T extends Float32Array | Int32Array>(target: T, values: T): T => {
    target.set(values);
    return target;
  };
  return {
    images: tf.tensor(count === size ? images : filled(new Float32Array(size * pixels), images), [size, ...rest]),
    labels: tf.tensor1d(count === size ? labels : filled(new Int32Array(size), labels), 'int32'),
    mask: tf.tensor1d(new Float32Array(size).fill(1, 0, count)),
  };
}

/** Lets timers, signals and messages through between two steps. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
