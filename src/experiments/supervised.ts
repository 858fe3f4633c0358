// A plain supervised training with the loaders of its budget.
import path from 'node:path';
import type { Dataset } from '../data/index.js';
import { UsageError } from '../errors.js';
import type { Module } from '../nn/index.js';
import { type EpochRecord, type FitResult, fit, type ProgressView } from '../train/index.js';
import { type Budget, evaluationLoader, trainingLoader } from './budget.js';

export interface TrainingRun {
  /** Trains what is trainable in it. */
  model: Module;
  train: Dataset;
  /** Only these images of `train`, such as `imagesPerClass` chooses. */
  indices?: ArrayLike<number>;
  /** Evaluated after every epoch; of the same classes as `train`. */
  test: Dataset;
  /** Only these images of `test`: with `holdOut`, training images that are held out. */
  testIndices?: ArrayLike<number>;
  budget: Budget;
  /** Folder of the state file and the event files. */
  dir: string;
  /** What the training is called where it shows itself. */
  label?: string;
  progress?: ProgressView;
  onEpoch?: (record: EpochRecord) => void;
}

/**
 * Trains `model` as the budget says. Run again with the same arguments after a kill, it goes on from `dir/state.safetensors`
 * and ends bit for bit as it would have; what was trained to the end is loaded.
 * @throws UsageError where the classes of `train` and `test` differ; otherwise as `fit`
 */
export const trainSupervised = (run: TrainingRun): Promise<FitResult> => trainFrom(run, 'state.safetensors');

/** The same with another name of the state file in `dir`. */
export async function trainFrom(run: TrainingRun, stateFile: string): Promise<FitResult> {
  const { model, train, indices, test, testIndices, budget, dir, label, progress, onEpoch } = run;
  sameClasses(train, test);
  const { batchSize: _, augmentation: __, images: ___, ...options } = budget;
  const training = trainingLoader(train, budget, indices);
  const evaluation = evaluationLoader(test, budget, testIndices);
  try {
    return await fit({
      ...options,
      model,
      train: training,
      evaluate: evaluation,
      checkpoint: path.join(dir, stateFile),
      logDir: path.join(dir, 'events'),
      ...(label !== undefined && { label }),
      ...(progress && { progress }),
      ...(onEpoch && { onEpoch }),
    });
  } finally {
    await Promise.all([training.close(), evaluation.close()]);
  }
}

function sameClasses(train: Dataset, test: Dataset): void {
  const wrong = [...train.classes, ...test.classes].find((_, i) => train.classes[i] !== test.classes[i]);
  if (wrong === undefined && train.classes.length === test.classes.length) return;
  const list = ({ name, classes, description }: Dataset) =>
    `${name} (${description.split}) has ${classes.length}: ${classes.slice(0, 5).join(', ')}${classes.length > 5 ? ', …' : ''}`;
  throw new UsageError(
    `Training and test images must have the same classes in the same order, but ${list(train)}, and ${list(test)}. ` +
      'Name the classes in the spec of the data set (?classes=a,b).',
  );
}
