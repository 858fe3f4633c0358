// A pass over the batches of a source without learning: what evaluation, prediction and features have in common.
import { Program, type ProgramOptions, readable, type Step, type Tensors, tf } from '../engine/index.js';
import type { BatchSource, LabelledBatch } from './batches.js';
import { Interrupted, InterruptWatch } from './interrupt.js';

/** The steps that make a pass, and what a pass of each is called. */
const PASSES = { evaluate: 'evaluation', predict: 'prediction', features: 'extraction of features' } as const;

export type PassName = keyof typeof PASSES;

/** Makes a pass by a step that gets a program of its own. */
export async function withProgram<R>(
  name: PassName,
  step: Step,
  options: ProgramOptions,
  pass: (program: Program, watch: InterruptWatch) => Promise<R>,
): Promise<R> {
  const program = new Program(options).define(name, step);
  const watch = new InterruptWatch();
  try {
    return await pass(program, watch);
  } finally {
    watch.stopListening();
    program.dispose();
  }
}

/**
 * Runs the step `name` of `program` on each batch of one epoch of `source` and hands what it gives to `take`, which
 * reads and keeps no tensor. Inputs of the step: images `[B, H, W, C]`, labels `[B]` int32, mask `[B]` (1 for an example,
 * 0 for padding); B is always the batch size of `source`.
 * @throws Interrupted where `watch` is asked to stop
 */
export async function passOver(
  program: Program,
  name: PassName,
  source: BatchSource,
  watch: InterruptWatch,
  take: (outputs: Tensors, batch: LabelledBatch) => void,
): Promise<void> {
  for await (const batch of source.epoch(0)) {
    const inputs = padded(batch, source.batchSize);
    const outputs = program.run(name, inputs);
    await readable(Object.values(outputs));
    take(outputs, batch);
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    if (watch.requested) throw new Interrupted(`The ${PASSES[name]} was stopped.`);
    await breathe();
  }
}

/** A batch filled up to `size` rows, with a mask that says which rows are examples. */
function padded({ images, shape: [, ...rest], labels }: LabelledBatch, size: number): Tensors {
  return {
    images: tf.tensor(filledUp(images, size * tf.util.sizeFromShape(rest)), [size, ...rest]),
    labels: tf.tensor1d(filledUp(labels, size), 'int32'),
    mask: tf.tensor1d(new Float32Array(size).fill(1, 0, labels.length)),
  };
}

function filledUp<T extends Float32Array | Int32Array>(values: T, length: number): T {
  if (values.length === length) return values;
  const target = new (values.constructor as new (length: number) => T)(length);
  target.set(values);
  return target;
}

/** Lets timers, signals and messages through between two steps. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
