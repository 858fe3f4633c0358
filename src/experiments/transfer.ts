// One tuning method on one task: pre-trained weights under a new head, tuned, trained, evaluated, written down.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { currentEngine } from '../engine/index.js';
import { CheckpointError, few } from '../errors.js';
import { peakMemoryOf } from '../memory.js';
import type { Module, StateDict } from '../nn/index.js';
import { parseOptimizer, parseSchedule } from '../train/index.js';
import {
  applyTuning,
  countParameters,
  isHead,
  loadTuned,
  saveTuned,
  type Tuning,
  type TuningName,
  type TuningOptions,
} from '../tuning/index.js';
import { plural } from '../words.js';
import { evaluationLoader, trainingLoader, transformsOf } from './budget.js';
import { keyOf, readRecord, type TransferRecord, writeRecord } from './record.js';
import { type TrainingRun, trainFrom } from './supervised.js';

export interface TransferOptions<N extends TuningName = TuningName> extends Omit<TrainingRun, 'model'> {
  /** What the transfer is called in its record. */
  name: string;
  /** The base with a head of that many classes. Values that it leaves open and `weights` lack are drawn from the seed. */
  build: (numClasses: number) => Module;
  /** What was learnt before. The head in it is left out. Without weights everything starts from the seed. */
  weights?: Readonly<StateDict> | undefined;
  method: N;
  options?: TuningOptions<N>;
  /** True where this process does nothing else: then its peak memory is recorded (see `runJob`). */
  ownProcess?: boolean;
}

/** A record, and the model that it is about. */
export interface Transfer extends TransferRecord {
  /**
   * The trained model, made anew from the base and the file of what was trained, in `dir`. Needs the base weights as they
   * were. The caller disposes of it.
   */
  loadModel(): Module;
}

const TUNED_FILE = 'tuned.safetensors';
/** Raised where records of before must not be taken any more. */
const VERSION = 1;

/**
 * Tunes a model of `build` by `method`, trains it as the budget says and evaluates it. `dir` holds what comes of it:
 * `transfer.json` (the record), `tuned.safetensors` (what was trained, see `saveTuned`), `events/` (TensorBoard) and,
 * while it trains, the state. Called again, it gives the record that it finds there, or goes on after a kill and ends
 * bit for bit as it would have. A record whose key differs is not taken; the training begins anew and replaces it.
 * @throws CheckpointError where `weights` and model do not fit; UsageError for wrong options, or classes of `train` and
 * `test` that differ; otherwise as `fit`
 */
export async function transfer<N extends TuningName>(options: TransferOptions<N>): Promise<Transfer> {
  const { name, dir, budget } = options;
  const { model, tuning, decidedBy } = prepare(options);
  try {
    const key = keyOf(decidedBy);
    const loadModel = () => restore(options);
    const earlier = readRecord(dir);
    if (earlier?.key === key) return { ...earlier, name, loadModel };
    const stateFile = `state-${key.slice(0, 12)}.safetensors`;
    const { history, stepMs } = await trainFrom({ label: name, ...options, model }, stateFile);
    const last = history.at(-1)!;
    const peakMemoryBytes = options.ownProcess ? peakMemoryOf(process.pid) : undefined;
    const tuned = path.join(dir, TUNED_FILE);
    saveTuned(tuned, model, tuning);
    const record: TransferRecord = {
      name,
      method: tuning.method,
      options: tuning.options as TransferRecord['options'],
      seed: budget.seed,
      top1: last.evalTop1!,
      top5: last.evalTop5!,
      history,
      ...countParameters(model),
      // a process that found everything trained has measured none
      stepMs: Number.isFinite(stepMs) ? stepMs : (1000 * budget.batchSize) / last.imagesPerSecond,
      checkpointBytes: fs.statSync(tuned).size,
      ...(peakMemoryBytes !== undefined && { peakMemoryBytes }),
      machine: `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${plural(os.availableParallelism(), 'core')}`,
      key,
      decidedBy,
    };
    writeRecord(dir, record);
    fs.rmSync(path.join(dir, stateFile));
    return { ...record, loadModel };
  } finally {
    model.dispose();
  }
}

/** The key that the record of a transfer would have. Trains nothing. @throws as `transfer` */
export function transferKey<N extends TuningName>(options: TransferOptions<N>): string {
  const { model, decidedBy } = prepare(options);
  model.dispose();
  return keyOf(decidedBy);
}

/** The model as training begins, and what decides how it ends. */
function prepare<N extends TuningName>(options: TransferOptions<N>) {
  const model = options.build(options.train.classes.length);
  try {
    const ofBase = [...model.namedParameters(), ...model.namedBuffers()].map(([name]) => name);
    const tuning = applyTuning(model, options.method, options.options);
    if (options.weights) loadBase(model, options.weights, new Set(ofBase));
    model.initialize(options.budget.seed);
    return { model, tuning, decidedBy: decidedBy(model, tuning, options) };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** Loads all but the head, and refuses weights that leave a part of the base without values, or are for another one. */
function loadBase(model: Module, weights: Readonly<StateDict>, ofBase: ReadonlySet<string>): void {
  const { missing, unexpected, mismatched } = model.loadStateDict(withoutHead(weights), { strict: false });
  const lacking = missing.filter((name) => ofBase.has(name) && !isHead(name));
  const shapes = mismatched.map(({ name, expected, found }) => `${name} is [${found}] instead of [${expected}]`);
  const faults = [
    lacking.length > 0 && `missing: ${few(lacking)}`,
    unexpected.length > 0 && `unexpected: ${few(unexpected)}`,
    shapes.length > 0 && `other shapes: ${few(shapes)}`,
  ].filter(Boolean);
  if (faults.length === 0) return;
  throw new CheckpointError(
    `The weights do not fit the model that build makes (${faults.join('; ')}). Build the architecture that they were ` +
      'trained in, or bring them to its shapes first (fitState).',
  );
}

const withoutHead = (weights: Readonly<StateDict>): StateDict =>
  Object.fromEntries(Object.entries(weights).filter(([name]) => !isHead(name)));

/** Undoes `applyTuning` and training: the base again, and on it what the file of the tuned parameters holds. */
function restore<N extends TuningName>({ build, weights, train, dir, budget }: TransferOptions<N>): Module {
  const model = build(train.classes.length);
  try {
    if (weights) model.loadStateDict(withoutHead(weights), { strict: false });
    model.initialize(budget.seed);
    loadTuned(path.join(dir, TUNED_FILE), model);
    return model.initialize(budget.seed);
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function decidedBy<N extends TuningName>(
  model: Module,
  tuning: Tuning,
  { train, indices, test, testIndices, budget }: TransferOptions<N>,
): TransferRecord['decidedBy'] {
  const { name, device, version } = currentEngine();
  const { augmentation: _, images: __, ...settings } = budget;
  const parts = {
    version: VERSION,
    architecture: { model: model.constructor.name, config: (model as { config?: object }).config },
    start: startOf(model),
    tuning,
    train: { name: train.name, batches: trainingLoader(train, budget, indices).identity },
    test: { name: test.name, batches: evaluationLoader(test, budget, testIndices).identity },
    budget: {
      ...settings,
      optimizer: parseOptimizer(budget.optimizer),
      schedule: parseSchedule(budget.schedule),
      sparesNorms: budget.sparesNorms ?? false,
      precision: budget.precision ?? 'fp32',
      transforms: transformsOf(budget),
    },
    engine: { name, device, version },
  };
  // as it is read back: without what is undefined
  return JSON.parse(JSON.stringify(parts)) as TransferRecord['decidedBy'];
}

/** A checksum of all values that training starts from, and of which of them train. */
function startOf(model: Module): string {
  const hash = createHash('sha256');
  for (const [name, { shape, value, trainable }] of model.namedParameters())
    hash.update(`${name} [${shape}] ${trainable}\n`).update(value.dataSync());
  for (const [name, { shape, value, frozen }] of model.namedBuffers())
    hash.update(`${name} [${shape}] ${frozen}\n`).update(value.dataSync());
  return `sha256:${hash.digest('hex')}`;
}
