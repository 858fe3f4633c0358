// The loop of MoCo v3's pre-training: two views a batch, one recorded step each, a nearest-neighbour classifier that
// watches the features, a state file that survives anything.
import { createHash } from 'node:crypto';
import { currentEngine, Program, readable, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import {
  type BatchSource,
  breathe,
  createOptimizer,
  createProgress,
  createSchedule,
  type EpochRecord,
  EventWriter,
  featuresStep,
  Interrupted,
  InterruptWatch,
  type KnnOptions,
  knnAccuracy,
  LiveCurves,
  loadState,
  type OptimizerConfig,
  type Position,
  type ProgressView,
  pullState,
  readCurves,
  runFeatures,
  type ScheduleConfig,
  START,
  saveState,
  schedules,
} from '../train/index.js';
import { GRAD_NORM, type Moco, type MocoStepOptions, mocoStep } from './moco.js';

const LABEL = 'pre-training';

/** Two views of each image, NHWC float32: what a loader with two `views` gives. */
export interface ViewSource {
  readonly batchSize: number;
  /** Batches of an epoch. */
  readonly batches: number;
  readonly identity?: string;
  epoch(epoch: number, options?: { startBatch?: number }): AsyncIterable<ViewPair>;
}

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

export interface PretrainOptions extends Pick<MocoStepOptions, 'clipNorm' | 'gradNorms'> {
  model: Moco;
  train: ViewSource;
  epochs: number;
  optimizer: OptimizerConfig;
  schedule: ScheduleConfig;
  /** Of the momentum encoder at the start; it goes to 1 on half a cosine. Default 0.99. */
  momentum?: number;
  /** After every epoch a k-nearest-neighbour classifier judges the features of the base encoder. */
  monitor?: KnnMonitor;
  seed: number;
  precision?: 'fp32' | 'bf16';
  /** State file: written as training goes and taken up again by the same run. */
  checkpoint?: string;
  /** Seconds between two writes of the state within an epoch. Default 60. */
  checkpointSeconds?: number;
  /** Folder of TensorBoard event files. */
  logDir?: string;
  label?: string;
  progress?: ProgressView;
  /** Curves that renew themselves under the notebook's cell, as those of `fit`. */
  curves?: boolean;
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
  const run = new Run(options);
  try {
    return await run.train();
  } finally {
    run.dispose();
  }
}

class Run {
  private readonly optimizer;
  private readonly program: Program;
  /** A program of its own: to record into the other would load the large graph a second time. */
  private readonly judging: Program;
  private readonly learningRate: (step: number) => number;
  private readonly momentum: (step: number) => number;
  private readonly progress: ProgressView;
  private readonly live: LiveCurves | undefined;
  private readonly events: EventWriter | undefined;
  private readonly watch: InterruptWatch;
  /** One number an update: the loss, and the norms by the name of the step's output. */
  private readonly curves: Record<string, number[]>;
  private readonly resumed: boolean;
  private position: Position;
  private lastSaved = performance.now();
  private imagesHere = 0;
  private readonly startedAt = performance.now();

  constructor(private readonly options: PretrainOptions) {
    const { model, train, epochs, checkpoint, momentum = 0.99, gradNorms = [], logDir } = options;
    this.optimizer = createOptimizer(options.optimizer, model.trainableParameters());
    const { precision = 'fp32' } = options;
    this.program = new Program({ precision }).define('train', mocoStep(model, this.optimizer, options));
    this.judging = new Program({ precision }).define('features', featuresStep(model.baseEncoder));
    this.learningRate = createSchedule(options.schedule, { stepsPerEpoch: train.batches, epochs });
    const momentumAt = schedules.mocoMomentum({ base: momentum, epochs });
    this.momentum = (step) => momentumAt(step / train.batches);
    this.progress = options.progress ?? createProgress();
    const fingerprint = this.fingerprint();
    const saved = checkpoint ? loadState(checkpoint, model, this.optimizer, fingerprint) : undefined;
    this.resumed = saved !== undefined;
    this.position = saved ?? START(fingerprint);
    const known = saved ? readCurves(checkpoint!) : {};
    const names = ['loss', ...gradNorms.map((path) => `${GRAD_NORM}${path}`)];
    this.curves = Object.fromEntries(names.map((name) => [name, Array.from(known[name] ?? [])]));
    // last: what throws above leaves no file and no listener behind
    this.events = logDir ? new EventWriter(logDir) : undefined;
    this.live = LiveCurves.open(options.label ?? LABEL, train.batches * epochs, options.curves);
    this.live?.resume(this.position.history, { labels: false });
    this.watch = new InterruptWatch();
  }

  async train(): Promise<PretrainResult> {
    const { options } = this;
    while (this.position.epoch < options.epochs) {
      await this.trainEpoch();
      const record = await this.finishEpoch();
      const { fingerprint, step, epoch, history } = this.position;
      this.position = { ...START(fingerprint), step, epoch: epoch + 1, history: [...history, record] };
      await this.save();
      this.live?.epoch(record, { labels: false });
      this.report(epochOf(record));
    }
    await this.pull();
    const { loss, ...norms } = this.curves;
    const steps = this.position.step;
    const atEach = (of: (step: number) => number): Float64Array =>
      Float64Array.from({ length: steps }, (_, i) => of(i));
    return {
      history: this.position.history.map(epochOf),
      curves: {
        loss: Float32Array.from(loss!),
        learningRate: atEach(this.learningRate),
        momentum: atEach(this.momentum),
        gradNorms: byPath(norms, (values) => Float32Array.from(values)),
      },
      resumed: this.resumed,
    };
  }

  dispose(): void {
    this.watch.stopListening();
    this.live?.finish();
    this.program.dispose();
    this.judging.dispose();
    this.optimizer.dispose();
    this.events?.close();
    this.options.model.eval();
  }

  private async trainEpoch(): Promise<void> {
    const { train, checkpointSeconds = 60 } = this.options;
    const { epoch, batch: startBatch } = this.position;
    if (startBatch >= train.batches) return;
    for await (const views of train.epoch(epoch, { startBatch })) {
      await this.update(views);
      this.show();
      if (this.watch.requested) await this.stop();
      if (performance.now() - this.lastSaved > 1000 * checkpointSeconds) await this.save();
      await breathe();
    }
  }

  private async update({ images, shapes }: ViewPair): Promise<void> {
    const { position } = this;
    const [learningRate, momentum] = [this.learningRate(position.step), this.momentum(position.step)];
    const inputs = {
      view1: tf.tensor(images[0]!, [...shapes[0]!], 'float32'),
      view2: tf.tensor(images[1]!, [...shapes[1]!], 'float32'),
      key: tf.tensor1d([this.options.seed, position.step], 'int32'),
    };
    const step = position.step + 1;
    const outputs = this.program.run('train', { ...inputs, learningRate, step, rate: 1 - momentum });
    await readable(Object.values(outputs));
    const numbers = Object.fromEntries(
      Object.entries(outputs).map(([name, output]) => [name, output.dataSync()[0]!] as const),
    );
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    const { loss, ...norms } = numbers as { loss: number };
    if (!Number.isFinite(loss)) {
      throw new TrainingError(
        `The loss is ${loss} at step ${step} (learning rate ${learningRate}). Lower the learning rate, lengthen the ` +
          'warm-up or clip the gradients.',
      );
    }
    for (const [name, curve] of Object.entries(this.curves)) curve.push(numbers[name]!);
    position.step++;
    position.batch++;
    position.lossSum += loss;
    this.live?.step(step, loss);
    this.events?.scalars(step, { 'train/loss': loss, 'train/learning_rate': learningRate, momentum, ...norms });
    this.options.onStep?.({ step, loss, learningRate, momentum, gradNorms: byPath(norms, (norm: number) => norm) });
  }

  /** The history's lines are those of supervised training: without labels nothing is right or wrong, so top-1 is 0. */
  private async finishEpoch(): Promise<EpochRecord> {
    const { position } = this;
    const knnTop1 = await this.judge();
    return {
      epoch: position.epoch + 1,
      steps: position.step,
      learningRate: this.learningRate(position.step - 1),
      trainLoss: position.lossSum / position.batch,
      trainTop1: 0,
      imagesPerSecond: this.imagesPerSecond(),
      waiting: 0,
      ...(knnTop1 !== undefined && { evalTop1: knnTop1 }),
    };
  }

  private async judge(): Promise<number | undefined> {
    const { monitor } = this.options;
    if (!monitor) return undefined;
    this.program.pull();
    this.judging.push();
    const memory = await runFeatures(this.judging, monitor.memory, this.watch);
    const queries = memory === 'interrupted' ? memory : await runFeatures(this.judging, monitor.queries, this.watch);
    if (memory === 'interrupted' || queries === 'interrupted') return this.stop();
    return knnAccuracy(memory, queries, monitor);
  }

  private report({ epoch, steps, loss, knnTop1, ...rest }: PretrainEpoch): void {
    const { label = LABEL, epochs, onEpoch } = this.options;
    const watched = knnTop1 === undefined ? '' : ` · nearest neighbours ${knnTop1.toFixed(4)}`;
    const scalars = { 'epoch/loss': loss, ...(knnTop1 !== undefined && { 'epoch/knn_top1': knnTop1 }) };
    this.events?.scalars(steps, scalars);
    this.progress.finish(`${label}: epoch ${epoch}/${epochs} · loss ${loss.toFixed(4)}${watched}`);
    onEpoch?.({ epoch, steps, loss, ...(knnTop1 !== undefined && { knnTop1 }), ...rest });
  }

  private show(): void {
    const { position, options } = this;
    const { train, epochs, label = LABEL } = options;
    this.imagesHere += train.batchSize;
    const rate = this.imagesPerSecond();
    const toDo = train.batches * (epochs - position.epoch) - position.batch;
    this.progress.show({
      label: `${label}: epoch ${position.epoch + 1}/${epochs}`,
      done: position.batch,
      total: train.batches,
      rate,
      remaining: (toDo * train.batchSize) / rate,
      figures: { loss: position.lossSum / position.batch },
    });
  }

  /** In this process, the time spent on data included. */
  private imagesPerSecond(): number {
    return (1000 * this.imagesHere) / (performance.now() - this.startedAt);
  }

  private async save(): Promise<void> {
    const { checkpoint, model } = this.options;
    if (!checkpoint) return;
    await this.pull();
    saveState(checkpoint, model, this.optimizer, this.position, this.curves);
    this.lastSaved = performance.now();
  }

  private pull(): Promise<void> {
    return pullState(this.program, this.options.model, this.optimizer);
  }

  private async stop(): Promise<never> {
    await this.pull();
    await this.save();
    const { step, epoch } = this.position;
    const { checkpoint } = this.options;
    const kept = checkpoint ? `, and the state is in ${checkpoint}` : '';
    const text = `Pre-training was stopped after step ${step} in epoch ${epoch + 1}. The model holds what it learnt${kept}.`;
    this.progress.finish(text);
    throw new Interrupted(text);
  }

  /** What decides the numbers of a run. A state file of a run with another one is refused. */
  private fingerprint(): string {
    const { model, train, optimizer, schedule, epochs, momentum, seed, clipNorm, gradNorms, monitor } = this.options;
    const parts = {
      parameters: [...model.namedParameters()].map(([name, { shape, trainable }]) => [name, shape, trainable]),
      batches: [train.batchSize, train.batches, train.identity],
      ...{ optimizer, schedule, epochs, momentum, seed, clipNorm, gradNorms, temperature: model.temperature },
      monitor: monitor && [
        ...[monitor.memory, monitor.queries].map(({ batchSize, batches, identity }) => [batchSize, batches, identity]),
        [monitor.neighbours, monitor.temperature],
      ],
      engine: [currentEngine().name, currentEngine().device, this.program.mode, this.program.precision],
    };
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
  }
}

/** The norms among the outputs of a step, by the path of their module. */
const byPath = <From, To>(norms: Readonly<Record<string, From>>, as: (value: From) => To): Record<string, To> =>
  Object.fromEntries(Object.entries(norms).map(([name, value]) => [name.slice(GRAD_NORM.length), as(value)]));

const epochOf = ({ epoch, steps, trainLoss, evalTop1, imagesPerSecond }: EpochRecord): PretrainEpoch => ({
  ...{ epoch, steps, loss: trainLoss, imagesPerSecond },
  ...(evalTop1 !== undefined && { knnTop1: evalTop1 }),
});
