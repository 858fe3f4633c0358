// The loop of every training: batches from a source, one recorded step each, an end to every epoch, a state file that
// survives anything, progress, event files, live curves. What is learnt, and from what, a `Training` tells.
import { createHash } from 'node:crypto';
import { currentEngine, readable, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import { EventWriter } from './events.js';
import { Interrupted, InterruptWatch } from './interrupt.js';
import { LiveCurves } from './liveCurves.js';
import { breathe } from './pass.js';
import { createProgress, type ProgressView } from './progress.js';
import { createSchedule, type Schedule } from './scheduleRegistry.js';
import { type EpochRecord, loadState, type Position, readableState, readCurves, START, saveState } from './state.js';
import type { Training, TrainingResult } from './training.js';

/**
 * Trains to the end. Run again with the same options and state file after a kill at any moment, it goes on and ends bit
 * for bit as it would have without.
 * @throws Interrupted after SIGINT or a kernel interrupt, with the state saved and the model holding what it learnt;
 * TrainingError for a non-finite loss, or the state file of another run
 */
export async function runTraining<Batch>(training: Training<Batch>): Promise<TrainingResult> {
  const loop = new Loop(training);
  try {
    return await loop.run();
  } finally {
    loop.dispose();
  }
}

class Loop<Batch> {
  private readonly learningRate: Schedule;
  private readonly progress: ProgressView;
  private readonly label: string;
  private readonly curves: Record<string, number[]>;
  private readonly live: LiveCurves | undefined;
  private readonly events: EventWriter | undefined;
  private readonly watch: InterruptWatch;
  private readonly stepTimes: number[] = [];
  private readonly resumed: boolean;
  private position: Position;
  private lastSaved = performance.now();
  private lastFinite: number | undefined;
  private examplesHere = 0;
  private waiting = 0;
  private readonly startedAt = performance.now();

  constructor(private readonly training: Training<Batch>) {
    const { kind, options, optimizer, kept, labelled } = training;
    const { model, train, epochs, checkpoint, logDir } = options;
    this.learningRate = createSchedule(options.schedule, { stepsPerEpoch: train.batches, epochs });
    this.progress = options.progress ?? createProgress();
    this.label = options.label ?? kind;
    const fingerprint = this.fingerprint();
    const saved = checkpoint ? loadState(checkpoint, model, optimizer, fingerprint) : undefined;
    this.resumed = saved !== undefined;
    this.position = saved ?? START(fingerprint);
    const known = saved ? readCurves(checkpoint!) : {};
    this.curves = Object.fromEntries(kept.map((name) => [name, Array.from(known[name] ?? [])]));
    // last: what throws above leaves no file and no listener behind
    this.events = logDir ? new EventWriter(logDir) : undefined;
    this.live = LiveCurves.open(this.label, train.batches * epochs, options.curves);
    this.live?.resume(this.position.history, { labels: labelled });
    this.watch = new InterruptWatch();
  }

  async run(): Promise<TrainingResult> {
    const { epochs } = this.training.options;
    while (this.position.epoch < epochs) {
      await this.trainEpoch();
      const record = await this.endEpoch();
      const { fingerprint, step, epoch, history } = this.position;
      this.position = { ...START(fingerprint), step, epoch: epoch + 1, history: [...history, record] };
      await this.save();
      this.report(record);
    }
    await this.readable();
    const { position, resumed, curves, learningRate } = this;
    const { history, step: steps } = position;
    return { history, steps, resumed, stepMs: median(this.stepTimes), curves, learningRate };
  }

  dispose(): void {
    this.watch.stopListening();
    this.live?.finish();
    this.events?.close();
  }

  private async trainEpoch(): Promise<void> {
    const { train, checkpointSeconds = 60 } = this.training.options;
    const { epoch, batch: startBatch } = this.position;
    if (startBatch >= train.batches) return;
    let waited = 0;
    let asked = performance.now();
    const began = asked;
    for await (const batch of train.epoch(epoch, { startBatch })) {
      waited += performance.now() - asked;
      await this.update(batch);
      this.show();
      if (this.watch.requested) await this.stop();
      if (performance.now() - this.lastSaved > 1000 * checkpointSeconds) await this.save();
      await breathe();
      asked = performance.now();
    }
    this.waiting = waited / (performance.now() - began);
  }

  private async update(batch: Batch): Promise<void> {
    const { training, position } = this;
    const learningRate = this.learningRate(position.step);
    const step = position.step + 1;
    const began = performance.now();
    const inputs = {
      ...training.inputs(batch, position.step),
      key: tf.tensor1d([training.options.seed, position.step], 'int32'),
      learningRate,
      step,
    };
    const outputs = training.program.run('train', inputs);
    await readable(Object.values(outputs));
    const numbers = Object.fromEntries(
      Object.entries(outputs).map(([name, output]) => [name, output.dataSync()[0]!] as const),
    );
    tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
    this.stepTimes.push(performance.now() - began);
    const loss = numbers['loss']!;
    if (!Number.isFinite(loss)) {
      throw new TrainingError(
        `The loss is ${loss} at step ${step} (learning rate ${learningRate}); the last finite loss was ` +
          `${this.lastFinite ?? 'none'}. Lower the learning rate, lengthen the warm-up or clip the gradients.`,
      );
    }
    this.lastFinite = loss;
    for (const [name, curve] of Object.entries(this.curves)) curve.push(numbers[name]!);
    position.step++;
    position.batch++;
    this.examplesHere += training.examples(batch);
    const others = training.add({ batch, step, learningRate, numbers }, position);
    this.events?.scalars(step, { 'train/loss': loss, 'train/learning_rate': learningRate, ...others });
    this.live?.step(step, loss);
  }

  private async endEpoch(): Promise<EpochRecord> {
    const { position, training, waiting } = this;
    const ofUpdates = (1000 * training.options.train.batchSize) / this.stepMs();
    try {
      const outcome = await training.endEpoch(position, { ofUpdates, overall: this.rate(), waiting }, this.watch);
      const learningRate = this.learningRate(Math.max(0, position.step - 1));
      return { epoch: position.epoch + 1, steps: position.step, learningRate, ...outcome };
    } catch (error) {
      if (error instanceof Interrupted) return this.stop();
      throw error;
    }
  }

  private report(record: EpochRecord): void {
    const { training, label } = this;
    const { scalars, words } = training.report(record);
    this.events?.scalars(record.steps, scalars);
    this.live?.epoch(record, { labels: training.labelled });
    const epoch = `${label}: epoch ${record.epoch}/${training.options.epochs}`;
    this.progress.finish([epoch, `loss ${record.trainLoss.toFixed(4)}`, ...words].join(' · '));
    training.onEpoch(record);
  }

  private show(): void {
    const { position, training, label } = this;
    const { train, epochs } = training.options;
    const rate = this.rate();
    const toDo = train.batches * (epochs - position.epoch) - position.batch;
    this.progress.show({
      label: `${label}: epoch ${position.epoch + 1}/${epochs}`,
      done: position.batch,
      total: train.batches,
      rate,
      remaining: (toDo * train.batchSize) / rate,
      figures: training.means(position),
    });
  }

  /** Images a second in this process, with all that lies between updates. */
  private rate(): number {
    return (1000 * this.examplesHere) / (performance.now() - this.startedAt);
  }

  /** Median milliseconds of an update: in this process, or before it where this one made none yet. */
  private stepMs(): number {
    return this.stepTimes.length > 0 ? median(this.stepTimes) : (this.position.stepMs ?? Number.NaN);
  }

  private async save(): Promise<void> {
    const { optimizer, options } = this.training;
    if (!options.checkpoint) return;
    await this.readable();
    if (this.stepTimes.length > 0) this.position.stepMs = this.stepMs();
    saveState(options.checkpoint, options.model, optimizer, this.position, this.curves);
    this.lastSaved = performance.now();
  }

  private readable(): Promise<void> {
    const { optimizer, options } = this.training;
    return readableState(options.model, optimizer);
  }

  private async stop(): Promise<never> {
    await this.readable();
    await this.save();
    const { step, epoch } = this.position;
    const { kind, options } = this.training;
    const kept = options.checkpoint ? `, and the state is in ${options.checkpoint}` : '';
    const run = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
    const text = `${run} was stopped after step ${step} in epoch ${epoch + 1}. The model holds what it learnt${kept}.`;
    this.progress.finish(text);
    throw new Interrupted(text);
  }

  /** What decides the numbers of a run. A state file of a run with another one is refused. */
  private fingerprint(): string {
    const { options, program, decidedBy } = this.training;
    const { model, train } = options;
    const parts = {
      parameters: [...model.namedParameters()].map(([name, { shape, trainable }]) => [name, shape, trainable]),
      batches: [train.batchSize, train.batches, train.identity],
      ...decidedBy,
      engine: [currentEngine().name, currentEngine().device, program.mode, program.precision],
    };
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
  }
}

function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
