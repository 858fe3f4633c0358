// The loop of MoCo v3's pre-training, and the linear probe that judges what came of it.
import { createHash } from 'node:crypto';
import { currentEngine, Program, tf } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import {
  createOptimizer,
  createProgress,
  createSchedule,
  type FitOptions,
  type FitResult,
  fit,
  Interrupted,
  InterruptWatch,
  loadState,
  type OptimizerConfig,
  type Position,
  type ProgressView,
  type ScheduleConfig,
  START,
  saveState,
  schedules,
} from '../train/index.js';
import { type Moco, type MocoStepOptions, mocoStep } from './moco.js';

/** Two views of each image, NHWC float32: what a loader with two `views` gives. */
export interface ViewSource {
  readonly batchSize: number;
  /** Batches of an epoch. */
  readonly batches: number;
  readonly identity?: string;
  epoch(
    epoch: number,
    options?: { startBatch?: number },
  ): AsyncIterable<{ images: readonly Float32Array[]; shapes: readonly (readonly number[])[] }>;
}

export interface PretrainOptions extends Pick<MocoStepOptions, 'clipNorm'> {
  model: Moco;
  train: ViewSource;
  epochs: number;
  optimizer: OptimizerConfig;
  schedule: ScheduleConfig;
  /** Of the momentum encoder at the start; it goes to 1 on half a cosine. Default 0.99. */
  momentum?: number;
  seed: number;
  precision?: 'fp32' | 'bf16';
  /** State file: written after every epoch and taken up again by the same run. */
  checkpoint?: string;
  label?: string;
  progress?: ProgressView;
}

/**
 * Pre-trains `model` and gives the mean loss (nats) of each epoch. Run again with the same options and state file, it
 * goes on after the last whole epoch and ends bit for bit as it would have.
 * @throws Interrupted after SIGINT or a kernel interrupt; TrainingError for a non-finite loss or another run's state
 */
export async function pretrain(options: PretrainOptions): Promise<number[]> {
  const { model, train, epochs, seed, checkpoint, momentum = 0.99, label = 'pre-training' } = options;
  const progress = options.progress ?? createProgress();
  const optimizer = createOptimizer(options.optimizer, model.trainableParameters());
  const program = new Program({ precision: options.precision ?? 'fp32' }).define(
    'train',
    mocoStep(model, optimizer, options),
  );
  const learningRate = createSchedule(options.schedule, { stepsPerEpoch: train.batches, epochs });
  const momentumAt = schedules.mocoMomentum({ base: momentum, epochs });
  const fingerprint = fingerprintOf(options, program);
  let position: Position = (checkpoint && loadState(checkpoint, model, optimizer, fingerprint)) || START(fingerprint);
  const watch = new InterruptWatch();
  const began = performance.now();
  let images = 0;
  try {
    for (let { epoch } = position; epoch < epochs; epoch++) {
      let [lossSum, batch] = [0, 0];
      for await (const views of train.epoch(epoch)) {
        const step = epoch * train.batches + batch;
        const rate = 1 - momentumAt(step / train.batches);
        const loss = update(program, views, { learningRate: learningRate(step), step: step + 1, rate }, seed, step);
        lossSum += loss;
        batch++;
        images += train.batchSize;
        const perSecond = (1000 * images) / (performance.now() - began);
        progress.show({
          label: `${label}: epoch ${epoch + 1}/${epochs}`,
          done: batch,
          total: train.batches,
          rate: perSecond,
          remaining: ((train.batches * (epochs - epoch) - batch) * train.batchSize) / perSecond,
          figures: { loss: lossSum / batch },
        });
        if (watch.requested) {
          program.pull();
          throw new Interrupted(`Pre-training was stopped in epoch ${epoch + 1}; the model holds what it learnt.`);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const trainLoss = lossSum / batch;
      const steps = (epoch + 1) * train.batches;
      const imagesPerSecond = (1000 * images) / (performance.now() - began);
      // without labels nothing is right or wrong
      const record = { epoch: epoch + 1, steps, learningRate: learningRate(steps - 1), trainLoss, trainTop1: 0 };
      const history = [...position.history, { ...record, imagesPerSecond, waiting: 0 }];
      position = { ...START(fingerprint), step: steps, epoch: epoch + 1, history };
      program.pull();
      if (checkpoint) saveState(checkpoint, model, optimizer, position);
      progress.finish(`${label}: epoch ${epoch + 1}/${epochs} · loss ${trainLoss.toFixed(4)}`);
    }
  } finally {
    watch.stopListening();
    program.dispose();
    optimizer.dispose();
    model.eval();
  }
  return position.history.map(({ trainLoss }) => trainLoss);
}

function update(
  program: Program,
  { images, shapes }: { images: readonly Float32Array[]; shapes: readonly (readonly number[])[] },
  numbers: { learningRate: number; step: number; rate: number },
  seed: number,
  step: number,
): number {
  const inputs = {
    view1: tf.tensor(images[0]!, [...shapes[0]!], 'float32'),
    view2: tf.tensor(images[1]!, [...shapes[1]!], 'float32'),
    key: tf.tensor1d([seed, step], 'int32'),
  };
  const outputs = program.run('train', { ...inputs, ...numbers });
  const loss = outputs['loss']!.dataSync()[0]!;
  tf.dispose([inputs, outputs] as unknown as tf.TensorContainer);
  if (Number.isFinite(loss)) return loss;
  throw new TrainingError(`The loss is ${loss} at step ${step + 1} (learning rate ${numbers.learningRate}).`);
}

function fingerprintOf(options: PretrainOptions, program: Program): string {
  const { model, train, optimizer, schedule, epochs, momentum, seed, clipNorm } = options;
  const parts = {
    parameters: [...model.namedParameters()].map(([name, { shape, trainable }]) => [name, shape, trainable]),
    batches: [train.batchSize, train.batches, train.identity],
    ...{ optimizer, schedule, epochs, momentum, seed, clipNorm, temperature: model.temperature },
    engine: [currentEngine().name, currentEngine().device, program.mode, program.precision],
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/**
 * Trains what is trainable in the model (a head, after `tune(model, 'linear', …)`) and makes sure that nothing else moved,
 * as MoCo's linear evaluation does before it trusts its figure.
 * @throws TrainingError, beside what `fit` throws, naming a frozen tensor that is not bit for bit what it was
 */
export async function linearProbe(options: FitOptions): Promise<FitResult> {
  const before = frozenTensors(options.model);
  const result = await fit(options);
  const after = frozenTensors(options.model);
  for (const [name, digest] of before) {
    if (after.get(name) === digest) continue;
    throw new TrainingError(
      `${name} is frozen, but the linear probe changed it: its accuracy says nothing of the backbone.`,
    );
  }
  return result;
}

/** A digest of every tensor that training must not change, buffers included. */
function frozenTensors(model: Module): Map<string, string> {
  const frozen = [...model.namedParameters()].filter(([, { trainable }]) => !trainable);
  return new Map(
    [...frozen, ...model.namedBuffers()].map(([name, { value }]) => [
      name,
      createHash('sha256')
        .update(value.dataSync() as Float32Array)
        .digest('hex'),
    ]),
  );
}
