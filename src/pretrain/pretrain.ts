// MoCo v3's pre-training: two views a batch, and a nearest-neighbour classifier that watches the features.
import { Program, type StepInputs, tf } from '../engine/index.js';
import {
  type BatchSource,
  createOptimizer,
  type EpochOutcome,
  type EpochRecord,
  featuresStep,
  type InterruptWatch,
  type KnnOptions,
  knnAccuracy,
  type Optimizer,
  type Pace,
  type Position,
  runFeatures,
  runTraining,
  type Source,
  schedules,
  type Training,
  type TrainingOptions,
  type Update,
} from '../train/index.js';
import { GRAD_NORM, type Moco, type MocoStepOptions, mocoStep } from './moco.js';

/** Two views of each image, NHWC float32: what a loader with two `views` gives. */
export type ViewSource = Source<ViewPair>;

/** Two batches of views, of the same images in the same order, and their shapes. */
export interface ViewPair {
  images: readonly Float32Array[];
  shapes: readonly (readonly number[])[];
}

/** Labelled images by which the features are judged while they are learnt. */
export interface KnnMonitor extends KnnOptions {
  /** The images that vote. */
  memory: BatchSource;
  /** The images that are classified. */
  queries: BatchSource;
}

export interface PretrainOptions extends Pick<MocoStepOptions, 'clipNorm' | 'gradNorms'>, TrainingOptions<ViewPair> {
  model: Moco;
  /** Of the momentum encoder at the start; it goes to 1 on half a cosine. Default 0.99. */
  momentum?: number;
  /** After every epoch a k-nearest-neighbour classifier judges the features of the base encoder. */
  monitor?: KnnMonitor;
  onStep?: (record: PretrainStep) => void;
  onEpoch?: (record: PretrainEpoch) => void;
}

/** One update. */
export interface PretrainStep {
  /** 1 for the first. */
  step: number;
  /** In nats. */
  loss: number;
  learningRate: number;
  /** Of the momentum encoder. */
  momentum: number;
  /** By path, for each of `gradNorms`. */
  gradNorms: Readonly<Record<string, number>>;
}

export interface PretrainEpoch {
  /** 1 for the first. */
  epoch: number;
  /** Updates made until then. */
  steps: number;
  /** Mean over the epoch, in nats. */
  loss: number;
  /** Share of the monitor's queries whose class their neighbours tell. */
  knnTop1?: number;
  imagesPerSecond: number;
}

/** One number an update. */
export interface PretrainCurves {
  loss: Float32Array;
  learningRate: Float64Array;
  momentum: Float64Array;
  gradNorms: Record<string, Float32Array>;
}

export interface PretrainResult {
  history: PretrainEpoch[];
  /** Of all updates, those before a resume included. */
  curves: PretrainCurves;
  /** True where the run went on from a state file. */
  resumed: boolean;
}

/**
 * Pre-trains `model`. Run again with the same options and state file after a kill at any moment, it goes on and ends bit
 * for bit as it would have without.
 * @throws Interrupted after SIGINT or a kernel interrupt, with the state saved; TrainingError for a non-finite loss or
 * another run's state
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const training = new Pretraining(options);
  try {
    const { history, steps, resumed, curves, learningRate } = await runTraining(training);
    const { loss, ...norms } = curves;
    const atEach = (of: (step: number) => number): Float64Array =>
      Float64Array.from({ length: steps }, (_, i) => of(i));
    return {
      history: history.map(epochOf),
      curves: {
        loss: Float32Array.from(loss!),
        learningRate: atEach(learningRate),
        momentum: atEach(training.momentum),
        gradNorms: byPath(norms, (values) => Float32Array.from(values)),
      },
      resumed,
    };
  } finally {
    training.dispose();
  }
}

class Pretraining implements Training<ViewPair> {
  readonly kind = 'pre-training';
  readonly labelled = false;
  /** The loss, and the norms. */
  readonly kept: readonly string[];
  readonly optimizer: Optimizer;
  readonly program: Program;
  /** Of the momentum encoder, by the updates before. */
  readonly momentum: (step: number) => number;
  /** A program of its own: to record into the other would load the large graph a second time. */
  private readonly judging: Program;

  constructor(readonly options: PretrainOptions) {
    const { model, train, epochs, momentum = 0.99, gradNorms = [], precision = 'fp32' } = options;
    this.optimizer = createOptimizer(options.optimizer, model.trainableParameters());
    this.program = new Program({ precision }).define('train', mocoStep(model, this.optimizer, options));
    this.judging = new Program({ precision }).define('features', featuresStep(model.baseEncoder));
    const momentumAt = schedules.mocoMomentum({ base: momentum, epochs });
    this.momentum = (step) => momentumAt(step / train.batches);
    this.kept = ['loss', ...gradNorms.map((path) => `${GRAD_NORM}${path}`)];
  }

  dispose(): void {
    this.program.dispose();
    this.judging.dispose();
    this.optimizer.dispose();
    this.options.model.eval();
  }

  get decidedBy(): object {
    const { model, optimizer, schedule, epochs, momentum, seed, clipNorm, gradNorms, monitor } = this.options;
    return {
      ...{ optimizer, schedule, epochs, momentum, seed, clipNorm, gradNorms, temperature: model.temperature },
      monitor: monitor && [
        ...[monitor.memory, monitor.queries].map(({ batchSize, batches, identity }) => [batchSize, batches, identity]),
        [monitor.neighbours, monitor.temperature],
      ],
    };
  }

  examples({ shapes }: ViewPair): number {
    return shapes[0]![0]!;
  }

  inputs({ images, shapes }: ViewPair, step: number): StepInputs {
    return {
      view1: tf.tensor(images[0]!, [...shapes[0]!], 'float32'),
      view2: tf.tensor(images[1]!, [...shapes[1]!], 'float32'),
      rate: 1 - this.momentum(step),
    };
  }

  add({ step, learningRate, numbers }: Update<ViewPair>, position: Position): Record<string, number> {
    const { loss, ...norms } = numbers as { loss: number };
    const momentum = this.momentum(step - 1);
    position.lossSum += loss;
    this.options.onStep?.({ step, loss, learningRate, momentum, gradNorms: byPath(norms, (norm: number) => norm) });
    return { momentum, ...norms };
  }

  means({ lossSum, batch }: Position): { loss: number } {
    return { loss: lossSum / batch };
  }

  /** The history's lines are those of supervised training: without labels nothing is right or wrong, so top-1 is 0. */
  async endEpoch(position: Position, { overall }: Pace, watch: InterruptWatch): Promise<EpochOutcome> {
    const evalTop1 = await this.judge(watch);
    return {
      ...{ trainLoss: this.means(position).loss, trainTop1: 0, imagesPerSecond: overall, waiting: 0 },
      ...(evalTop1 !== undefined && { evalTop1 }),
    };
  }

  private async judge(watch: InterruptWatch): Promise<number | undefined> {
    const { monitor } = this.options;
    if (!monitor) return undefined;
    const memory = await runFeatures(this.judging, monitor.memory, watch);
    return knnAccuracy(memory, await runFeatures(this.judging, monitor.queries, watch), monitor);
  }

  report(record: EpochRecord): { scalars: Record<string, number>; words: string[] } {
    const { loss, knnTop1 } = epochOf(record);
    if (knnTop1 === undefined) return { scalars: { 'epoch/loss': loss }, words: [] };
    return {
      scalars: { 'epoch/loss': loss, 'epoch/knn_top1': knnTop1 },
      words: [`nearest neighbours ${knnTop1.toFixed(4)}`],
    };
  }

  onEpoch(record: EpochRecord): void {
    this.options.onEpoch?.(epochOf(record));
  }
}

/** The norms among the outputs of a step, by the path of their module. */
const byPath = <From, To>(norms: Readonly<Record<string, From>>, as: (value: From) => To): Record<string, To> =>
  Object.fromEntries(Object.entries(norms).map(([name, value]) => [name.slice(GRAD_NORM.length), as(value)]));

const epochOf = ({ epoch, steps, trainLoss, evalTop1, imagesPerSecond }: EpochRecord): PretrainEpoch => ({
  ...{ epoch, steps, loss: trainLoss, imagesPerSecond },
  ...(evalTop1 !== undefined && { knnTop1: evalTop1 }),
});
