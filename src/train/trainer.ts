// The training loop: batches from the loader, one recorded step each, evaluation, a state file that survives anything,
// progress, event files.
import { createHash } from 'node:crypto';
import { currentEngine, Program, readable, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import type { BatchSource, LabelledBatch } from './batches.js';
import { breathe, runEvaluation } from './evaluate.js';
import { EventWriter } from './events.js';
import { Interrupted, InterruptWatch } from './interrupt.js';
import { LiveCurves } from './liveCurves.js';
import { decayGroups } from './optimizers/groups.js';
import { createOptimizer, type OptimizerConfig, parseOptimizer } from './optimizers/registry.js';
import { createProgress, type ProgressView } from './progress.js';
import { createSchedule, type ScheduleConfig } from './scheduleRegistry.js';
import { type EpochRecord, loadState, type Position, pullState, START, saveState } from './state.js';
import { evaluateStep, type TrainStepOptions, trainStep } from './step.js';

const LABEL = 'training';

export interface FitOptions extends TrainStepOptions {
  /** Trains what is trainable in it. */
  model: Module;
  train: BatchSource;
  /** Evaluated after every epoch. */
  evaluate?: BatchSource;
  epochs: number;
  optimizer: OptimizerConfig;
  schedule: ScheduleConfig;
  /** No weight decay on norms and biases, as timm; false decays everything, as the Paddle and torch defaults do. */
  sparesNorms?: boolean;
  seed: number;
  precision?: 'fp32' | 'bf16';
  mode?: 'replay' | 'eager';
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
  onEpoch?: (record: EpochRecord) => void;
}

export interface FitResult {
  history: EpochRecord[];
  /** Updates made in all, those before a resume included. */
  steps: number;
  /** True where the run went on from a state file. */
  resumed: boolean;
  /** Median milliseconds of an update in this process, without waiting for data; NaN where none was made. */
  stepMs: number;
}

/**
 * Trains `model`. Run again with the same options and state file after a kill at any moment, it goes on and ends bit for
 * bit as it would have without.
 * @throws Interrupted after SIGINT or a kernel interrupt, with the state saved and the model holding what it learnt;
 * TrainingError for a non-finite loss, or the state file of another run
 */
export async function fit(options: FitOptions): Promise<FitResult> {
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
  private readonly learningRate: (step: number) => number;
  private readonly progress: ProgressView;
  private readonly curves: LiveCurves | undefined;
  private readonly events: EventWriter | undefined;
  private readonly watch: InterruptWatch;
  private readonly stepTimes: number[] = [];
  private readonly resumed: boolean;
  private position: Position;
  private lastSaved = performance.now();
  private lastFinite: number | undefined;
  private examplesHere = 0;
  /** Share of the last epoch's time that went into waiting for data. */
  private waiting = 0;
  private readonly startedAt = performance.now();

  constructor(private readonly options: FitOptions) {
    const { model, train, epochs, optimizer, schedule, precision = 'fp32', mode, checkpoint, logDir } = options;
    const { weightDecay } = parseOptimizer(optimizer);
    const trainable = model.trainableParameters();
    this.optimizer = createOptimizer(optimizer, options.sparesNorms ? decayGroups(trainable, weightDecay) : trainable);
    this.program = new Program({ precision, ...(mode ? { mode } : {}) });
    this.program.define('train', trainStep(model, this.optimizer, options)).define('evaluate', evaluateStep(model));
    this.learningRate = createSchedule(schedule, { stepsPerEpoch: train.batches, epochs });
    this.progress = options.progress ?? createProgress();
    const fingerprint = this.fingerprint();
    const saved = checkpoint ? loadState(checkpoint, model, this.optimizer, fingerprint) : undefined;
    this.resumed = saved !== undefined;
    this.position = saved ?? START(fingerprint);
    // last: what throws above leaves no file and no listener behind
    this.events = logDir ? new EventWriter(logDir) : undefined;
    this.curves = LiveCurves.open(options.label ?? LABEL, train.batches * epochs, options.curves);
    this.curves?.resume(this.position.history);
    this.watch = new InterruptWatch();
  }

  async train(): Promise<FitResult> {
    const { epochs } = this.options;
    while (this.position.epoch < epochs) {
      await this.trainEpoch();
      const record = await this.finishEpoch();
      const { fingerprint, step, epoch, history } = this.position;
      this.position = { ...START(fingerprint), step, epoch: epoch + 1, history: [...history, record] };
      await this.save();
      this.report(record);
    }
    await this.pull();
    const { history, step } = this.position;
    return { history, steps: step, resumed: this.resumed, stepMs: median(this.stepTimes) };
  }

  dispose(): void {
    this.watch.stopListening();
    this.curves?.finish();
    this.program.dispose();
    this.optimizer.dispose();
    this.events?.close();
    this.options.model.eval();
  }

  private async trainEpoch(): Promise<void> {
    const { train, checkpointSeconds = 60 } = this.options;
    const { epoch, batch: startBatch } = this.position;
    if (startBatch >= train.batches) return;
    let waited = 0;
    let asked = performance.now();
    const began = asked;
    for await (const batch of train.epoch(epoch, { startBatch })) {
      waited += performance.now() - asked;
      await this.update(batch);
      this.show(batch.labels.length);
      if (this.watch.requested) await this.stop();
      if (performance.now() - this.lastSaved > 1000 * checkpointSeconds) await this.save();
      await breathe();
      asked = performance.now();
    }
    this.waiting = waited / (performance.now() - began);
  }

  private async update(batch: LabelledBatch): Promise<void> {
    const { seed } = this.options;
    const { position } = this;
    const learningRate = this.learningRate(position.step);
    const began = performance.now();
    const inputs = {
      images: tf.tensor(batch.images, [...batch.shape], 'float32'),
      labels: tf.tensor1d(batch.labels, 'int32'),
      key: tf.tensor1d([seed, position.step], 'int32'),
    };
    const outputs = this.program.run('train', { ...inputs, learningRate, step: position.step + 1 });
    await readable(Object.values(outputs));
    const loss = outputs['loss']!.dataSync()[0]!;
    const correct = outputs['correct']!.dataSync()[0]!;
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    this.stepTimes.push(performance.now() - began);
    if (!Number.isFinite(loss)) {
      throw new TrainingError(
        `The loss is ${loss} at step ${position.step + 1} (learning rate ${learningRate}); the last finite loss was ` +
          `${this.lastFinite ?? 'none'}. Lower the learning rate, lengthen the warm-up or clip the gradients.`,
      );
    }
    this.lastFinite = loss;
    position.step++;
    position.batch++;
    position.lossSum += loss * batch.labels.length;
    position.correct += correct;
    position.examples += batch.labels.length;
    this.events?.scalars(position.step, { 'train/loss': loss, 'train/learning_rate': learningRate });
    this.curves?.step(position.step, loss);
  }

  private async finishEpoch(): Promise<EpochRecord> {
    const { position } = this;
    const evaluation = this.options.evaluate
      ? await runEvaluation(this.program, this.options.evaluate, this.watch)
      : undefined;
    if (evaluation === 'interrupted') return this.stop();
    const record: EpochRecord = {
      epoch: position.epoch + 1,
      steps: position.step,
      learningRate: this.learningRate(Math.max(0, position.step - 1)),
      trainLoss: position.lossSum / position.examples,
      trainTop1: position.correct / position.examples,
      imagesPerSecond: (1000 * this.options.train.batchSize) / this.stepMs(),
      waiting: this.waiting,
      ...(evaluation ? { evalLoss: evaluation.loss, evalTop1: evaluation.top1, evalTop5: evaluation.top5 } : {}),
    };
    return record;
  }

  private report(record: EpochRecord): void {
    const { label = LABEL, epochs, onEpoch } = this.options;
    const parts = [`${label}: epoch ${record.epoch}/${epochs}`, `loss ${record.trainLoss.toFixed(4)}`];
    const scalars: Record<string, number> = {
      'epoch/train_loss': record.trainLoss,
      'epoch/train_top1': record.trainTop1,
    };
    if (record.evalTop1 !== undefined) {
      parts.push(`evaluation loss ${record.evalLoss!.toFixed(4)}`, `top-1 ${record.evalTop1.toFixed(4)}`);
      Object.assign(scalars, {
        'epoch/eval_loss': record.evalLoss,
        'epoch/eval_top1': record.evalTop1,
        'epoch/eval_top5': record.evalTop5,
      });
    }
    this.events?.scalars(record.steps, scalars);
    this.curves?.epoch(record);
    this.progress.finish(parts.join(' · '));
    onEpoch?.(record);
  }

  private show(examples: number): void {
    const { position, options } = this;
    const { train, epochs, label = LABEL } = options;
    this.examplesHere += examples;
    const seconds = (performance.now() - this.startedAt) / 1000;
    const rate = this.examplesHere / seconds;
    const toDo = train.batches * (epochs - position.epoch) - position.batch;
    this.progress.show({
      label: `${label}: epoch ${position.epoch + 1}/${epochs}`,
      done: position.batch,
      total: train.batches,
      rate,
      remaining: (toDo * train.batchSize) / rate,
      figures: { loss: position.lossSum / position.examples, top1: position.correct / position.examples },
    });
  }

  private async save(): Promise<void> {
    const { checkpoint, model } = this.options;
    if (!checkpoint) return;
    await this.pull();
    if (this.stepTimes.length > 0) this.position.stepMs = this.stepMs();
    saveState(checkpoint, model, this.optimizer, this.position);
    this.lastSaved = performance.now();
  }

  private pull(): Promise<void> {
    return pullState(this.program, this.options.model, this.optimizer);
  }

  private async stop(): Promise<never> {
    await this.pull();
    await this.save();
    const { step, epoch } = this.position;
    const kept = this.options.checkpoint ? `, and the state is in ${this.options.checkpoint}` : '';
    const text = `Training was stopped after step ${step} in epoch ${epoch + 1}. The model holds what it learnt${kept}.`;
    this.progress.finish(text);
    throw new Interrupted(text);
  }

  /** Median milliseconds of an update: in this process, or before it where this one made none yet. */
  private stepMs(): number {
    return this.stepTimes.length > 0 ? median(this.stepTimes) : (this.position.stepMs ?? Number.NaN);
  }

  /** What decides the numbers of a run. A state file of a run with another one is refused. */
  private fingerprint(): string {
    const { model, train, optimizer, schedule, epochs, seed, sparesNorms } = this.options;
    const { clipNorm, labelSmoothing, classWeights, meanOver } = this.options;
    const parts = {
      parameters: [...model.namedParameters()].map(([name, p]) => [name, p.shape, p.trainable]),
      batches: [train.batchSize, train.batches, train.identity],
      ...{ optimizer, schedule, epochs, seed, sparesNorms, clipNorm, labelSmoothing, classWeights, meanOver },
      engine: [currentEngine().name, currentEngine().device, this.program.mode, this.program.precision],
    };
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
  }
}

function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
