// Supervised training: labelled images, cross entropy, an evaluation after every epoch.
import { Program, type StepInputs, tf } from '../engine/index.js';
import type { BatchSource, LabelledBatch } from './batches.js';
import { runEvaluation } from './evaluate.js';
import type { InterruptWatch } from './interrupt.js';
import { runTraining } from './loop.js';
import { decayGroups } from './optimizers/groups.js';
import type { Optimizer } from './optimizers/optimizer.js';
import { createOptimizer, parseOptimizer } from './optimizers/registry.js';
import type { EpochRecord, Position } from './state.js';
import { evaluateStep, type TrainStepOptions, trainStep } from './step.js';
import type { EpochOutcome, Pace, Training, TrainingOptions, TrainingResult, Update } from './training.js';

export interface FitOptions extends TrainStepOptions, TrainingOptions<LabelledBatch> {
  /** Evaluated after every epoch. */
  evaluate?: BatchSource;
  /** No weight decay on norms and biases, as timm; false decays everything, as the Paddle and torch defaults do. */
  sparesNorms?: boolean;
  mode?: 'replay' | 'eager';
  onEpoch?: (record: EpochRecord) => void;
}

export type FitResult = Pick<TrainingResult, 'history' | 'steps' | 'resumed' | 'stepMs'>;

/**
 * Trains `model`. Run again with the same options and state file after a kill at any moment, it goes on and ends bit for
 * bit as it would have without.
 * @throws Interrupted after SIGINT or a kernel interrupt, with the state saved and the model holding what it learnt;
 * TrainingError for a non-finite loss, or the state file of another run
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const training = new Supervised(options);
  try {
    const { history, steps, resumed, stepMs } = await runTraining(training);
    return { history, steps, resumed, stepMs };
  } finally {
    training.dispose();
  }
}

class Supervised implements Training<LabelledBatch> {
  readonly kind = 'training';
  readonly labelled = true;
  readonly kept = [];
  readonly optimizer: Optimizer;
  readonly program: Program;

  constructor(readonly options: FitOptions) {
    const { model, optimizer, precision = 'fp32', mode } = options;
    const { weightDecay } = parseOptimizer(optimizer);
    const trainable = model.trainableParameters();
    this.optimizer = createOptimizer(optimizer, options.sparesNorms ? decayGroups(trainable, weightDecay) : trainable);
    this.program = new Program({ precision, ...(mode ? { mode } : {}) });
    this.program.define('train', trainStep(model, this.optimizer, options)).define('evaluate', evaluateStep(model));
  }

  dispose(): void {
    this.program.dispose();
    this.optimizer.dispose();
    this.options.model.eval();
  }

  get decidedBy(): object {
    const { optimizer, schedule, epochs, seed, sparesNorms } = this.options;
    const { clipNorm, labelSmoothing, classWeights, meanOver } = this.options;
    return { optimizer, schedule, epochs, seed, sparesNorms, clipNorm, labelSmoothing, classWeights, meanOver };
  }

  examples({ labels }: LabelledBatch): number {
    return labels.length;
  }

  inputs({ images, shape, labels }: LabelledBatch): StepInputs {
    return { images: tf.tensor(images, [...shape], 'float32'), labels: tf.tensor1d(labels, 'int32') };
  }

  add({ batch, numbers }: Update<LabelledBatch>, position: Position): Record<string, number> {
    position.lossSum += numbers['loss']! * batch.labels.length;
    position.correct += numbers['correct']!;
    position.examples += batch.labels.length;
    return {};
  }

  means({ lossSum, correct, examples }: Position): { loss: number; top1: number } {
    return { loss: lossSum / examples, top1: correct / examples };
  }

  async endEpoch(position: Position, { ofUpdates, waiting }: Pace, watch: InterruptWatch): Promise<EpochOutcome> {
    const { evaluate } = this.options;
    const { loss: trainLoss, top1: trainTop1 } = this.means(position);
    const outcome = { trainLoss, trainTop1, imagesPerSecond: ofUpdates, waiting };
    if (!evaluate) return outcome;
    const { loss: evalLoss, top1: evalTop1, top5: evalTop5 } = await runEvaluation(this.program, evaluate, watch);
    return { ...outcome, evalLoss, evalTop1, evalTop5 };
  }

  report(record: EpochRecord): { scalars: Record<string, number>; words: string[] } {
    const { trainLoss, trainTop1, evalLoss, evalTop1, evalTop5 } = record;
    const scalars = { 'epoch/train_loss': trainLoss, 'epoch/train_top1': trainTop1 };
    if (evalTop1 === undefined) return { scalars, words: [] };
    return {
      scalars: { ...scalars, 'epoch/eval_loss': evalLoss!, 'epoch/eval_top1': evalTop1, 'epoch/eval_top5': evalTop5! },
      words: [`evaluation loss ${evalLoss!.toFixed(4)}`, `top-1 ${evalTop1.toFixed(4)}`],
    };
  }

  onEpoch(record: EpochRecord): void {
    this.options.onEpoch?.(record);
  }
}
