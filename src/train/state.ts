// The state of a training run in one file: parameters, buffers and optimiser slots as safetensors, position and history
// in its metadata. The file is replaced in one rename, so there is always a whole one, whatever happens when.
import fs from 'node:fs';
import { z } from 'zod';
import {
  readSafetensors,
  SafetensorsFile,
  type TensorRecord,
  toFloat32,
  writeSafetensors,
} from '../checkpoint/index.js';
import { readable, type Tensor, tf } from '../engine/index.js';
import { CheckpointError, TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import type { Optimizer } from './optimizers/optimizer.js';

/** A measured number; JSON has no NaN or infinity and writes null. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

/** An `EpochRecord` as files hold it. */
export const epochSchema = z.object({
  epoch: z.number(),
  steps: z.number(),
  learningRate: z.number(),
  trainLoss: z.number(),
  trainTop1: z.number(),
  imagesPerSecond: figure,
  waiting: z.number(),
  evalLoss: figure.optional(),
  evalTop1: z.number().optional(),
  evalTop5: z.number().optional(),
});

/**
 * One line of the history. Losses in nats, accuracies and `waiting` (time spent on data) as shares of 1.
 * @interface
 */
export type EpochRecord = z.infer<typeof epochSchema>;

const positionSchema = z.object({
  /** What the run is: a checkpoint of another run is refused. */
  fingerprint: z.string(),
  /** Updates made. */
  step: z.number(),
  epoch: z.number(),
  /** Batches of this epoch that are done. */
  batch: z.number(),
  /** Sums over the batches of this epoch that are done. */
  lossSum: z.number(),
  correct: z.number(),
  examples: z.number(),
  /** Median milliseconds of an update, where some of this epoch were made before the state was written. */
  stepMs: z.number().optional(),
  history: z.array(epochSchema),
});

/**
 * Where a run stands.
 * @interface
 */
export type Position = z.infer<typeof positionSchema>;

export const START = (fingerprint: string): Position => ({
  fingerprint,
  step: 0,
  epoch: 0,
  batch: 0,
  lossSum: 0,
  correct: 0,
  examples: 0,
  history: [],
});

const CURVES = 'curves/';

function stateTensors(model: Module, optimizer: Optimizer): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of Object.entries(model.stateDict())) tensors.set(`model/${name}`, tensor);
  for (const [name, slot] of optimizer.slots) tensors.set(`optimizer/${name}`, slot);
  return tensors;
}

/** Numbers that grow with the run, one a step, by name. */
export type Curves = Readonly<Record<string, ArrayLike<number>>>;

/** Brings the state to where it can be read at once. */
export async function readableState(model: Module, optimizer: Optimizer): Promise<void> {
  await readable(stateTensors(model, optimizer).values());
}

/** Writes the state atomically, and the curves in float32. It must be readable. */
export function saveState(
  file: string,
  model: Module,
  optimizer: Optimizer,
  position: Position,
  curves: Curves = {},
): void {
  const record: TensorRecord = {};
  for (const [name, values] of Object.entries(curves)) {
    record[`${CURVES}${name}`] = { dtype: 'float32', shape: [values.length], data: Float32Array.from(values) };
  }
  for (const [name, tensor] of stateTensors(model, optimizer)) {
    record[name] = { dtype: 'float32', shape: tensor.shape, data: tensor.dataSync() as Float32Array };
  }
  writeSafetensors(file, record, { vitlab: JSON.stringify(position) });
}

/**
 * Puts a saved state into model and optimiser, and gives where the run stands; undefined where there is no file.
 * @throws TrainingError for the state of another run; CheckpointError for a damaged file
 */
export function loadState(
  file: string,
  model: Module,
  optimizer: Optimizer,
  fingerprint: string,
): Position | undefined {
  if (!fs.existsSync(file)) return undefined;
  const position = readPosition(file);
  if (position.fingerprint !== fingerprint) {
    throw new TrainingError(
      `${file} is the checkpoint of another run (it has ${position.fingerprint}, this run is ${fingerprint}). ` +
        'Give this run another checkpoint file, or remove that one.',
    );
  }
  const record = readSafetensors(file);
  const state: Record<string, Tensor> = {};
  for (const name of stateTensors(model, optimizer).keys()) {
    const data = record[name];
    if (!data) throw new CheckpointError(`${file} has no tensor ${name}: it does not fit this model and optimiser.`);
    state[name] = tf.tensor(toFloat32(data), data.shape, 'float32');
  }
  const parts = (prefix: string): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(state).flatMap(([name, tensor]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [],
      ),
    );
  model.loadStateDict(parts('model/'));
  for (const [name, value] of Object.entries(parts('optimizer/'))) optimizer.slots.get(name)!.assign(value);
  tf.dispose(state);
  return position;
}

/** The curves of a state file, by name. */
export function readCurves(file: string): Record<string, Float32Array> {
  const curves = Object.entries(readSafetensors(file)).filter(([name]) => name.startsWith(CURVES));
  return Object.fromEntries(curves.map(([name, data]) => [name.slice(CURVES.length), toFloat32(data)]));
}

/** Where the run of a state file stands. */
export function readPosition(file: string): Position {
  const opened = SafetensorsFile.open(file);
  try {
    return positionSchema.parse(JSON.parse(opened.metadata['vitlab'] ?? 'null'));
  } catch (error) {
    throw new CheckpointError(`${file} is no training state: ${(error as Error).message}`, { cause: error });
  } finally {
    opened.close();
  }
}
