// What a training is, to the loop that all of them share.
import type { Program, StepInputs } from '../engine/index.js';
import type { Module } from '../nn/index.js';
import type { Source } from './batches.js';
import type { InterruptWatch } from './interrupt.js';
import type { Optimizer } from './optimizers/optimizer.js';
import type { OptimizerConfig } from './optimizers/registry.js';
import type { ProgressView } from './progress.js';
import type { Schedule, ScheduleConfig } from './scheduleRegistry.js';
import type { EpochRecord, Position } from './state.js';

/** What every training takes, whatever it learns from. */
export interface TrainingOptions<Batch> {
  /** Trains what is trainable in it. */
  model: Module;
  train: Source<Batch>;
  epochs: number;
  optimizer: OptimizerConfig;
  schedule: ScheduleConfig;
  seed: number;
  precision?: 'fp32' | 'bf16';
  /** State file: written as training goes and taken up again by the same run. */
  checkpoint?: string;
  /** Seconds between two writes of the state within an epoch. Default 60. */
  checkpointSeconds?: number;
  /** Folder of TensorBoard event files. */
  logDir?: string;
  /** What the run is called where it shows itself. */
  label?: string;
  progress?: ProgressView;
  /**
   * Curves of loss and accuracy that renew themselves under the notebook's cell. Default: where somebody watches, so not
   * in a headless run.
   */
  curves?: boolean;
}

/** One update that was made. */
export interface Update<Batch> {
  batch: Batch;
  /** 1 for the first. */
  step: number;
  learningRate: number;
  /** What the step gave, by name. */
  numbers: Readonly<Record<string, number>>;
}

/** How fast a training goes in this process. */
export interface Pace {
  /** Images a second, by the median time of an update, without waiting for data. */
  ofUpdates: number;
  /** Images a second since it started, with all that lies between updates. */
  overall: number;
  /** Share of the epoch's time that went into waiting for data. */
  waiting: number;
}

/** What an epoch came to. */
export type EpochOutcome = Omit<EpochRecord, 'epoch' | 'steps' | 'learningRate'>;

/** A kind of training: what its loop does not know. */
export interface Training<Batch> {
  /** What a run without a label is called. */
  readonly kind: string;
  readonly options: TrainingOptions<Batch>;
  readonly optimizer: Optimizer;
  /**
   * Has a step `train`, which takes `inputs` and learningRate, step (1 for the first) and key `[seed, step - 1]`. It gives
   * scalars, among them `loss`.
   */
  readonly program: Program;
  /** What decides the numbers of a run, beside parameters, batches and engine. */
  readonly decidedBy: object;
  /** Outputs of the step that are kept of every update. */
  readonly kept: readonly string[];
  /** Whether the images have labels, so that something can be right or wrong. */
  readonly labelled: boolean;
  /** How many images a batch has. */
  examples(batch: Batch): number;
  /** What the step takes of a batch, after `step` updates. */
  inputs(batch: Batch, step: number): StepInputs;
  /** Adds an update to the sums of the epoch, and gives what its event says beside loss and learning rate. */
  add(update: Update<Batch>, position: Position): Record<string, number>;
  /** Means over the epoch so far, to be shown. */
  means(position: Position): Readonly<Record<string, number>>;
  /** Judges the model after an epoch. @throws Interrupted where `watch` says so */
  endEpoch(position: Position, pace: Pace, watch: InterruptWatch): Promise<EpochOutcome>;
  /** What is told of an epoch: numbers for the event file, and words beside those on the loss. */
  report(record: EpochRecord): { scalars: Record<string, number>; words: readonly string[] };
  /** Is called after the report. */
  onEpoch(record: EpochRecord): void;
}

export interface TrainingResult {
  history: EpochRecord[];
  /** Updates made in all, those before a resume included. */
  steps: number;
  /** True where the run went on from a state file. */
  resumed: boolean;
  /** Median milliseconds of an update in this process, without waiting for data; NaN where none was made. */
  stepMs: number;
  /** What was `kept` of every update, those before a resume included. */
  curves: Record<string, number[]>;
  learningRate: Schedule;
}
