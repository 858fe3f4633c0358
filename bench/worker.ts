// Our side of a benchmark row, in a process of its own. Speaks JSON lines: {row} → {ready, firstMs, secondMs, flops};
// {rounds} → {ms}; {end} → {peakBytes}. The peer, peer.py, speaks the same.
import fs from 'node:fs';
import readline from 'node:readline';
import { DataLoader, openDataset, type TransformSpec } from '../src/data/index.js';
import { Program, type StepInputs, startEngine, tf } from '../src/engine/index.js';
import { SwinTransformer, VisionTransformer } from '../src/models/index.js';
import { summary } from '../src/nn/index.js';
import { createOptimizer, evaluateStep, trainStep } from '../src/train/index.js';
import { applyTuning } from '../src/tuning/index.js';
import type { Architecture, DataRow, MatmulRow, ModelRow, Row } from './rows.js';

/** One unit of work, made ready. */
interface Work {
  run(): Promise<void> | void;
  /** Floating-point operations of one run, for the fraction of the peak; 0 where they are not counted. */
  flops: number;
  eagerMs?: number;
  graphBytes?(): number;
}

const OPTIMIZERS = { momentum: { name: 'momentum', momentum: 0.9 }, adamw: { name: 'adamw' } } as const;

function build({ family, ...config }: Architecture): VisionTransformer | SwinTransformer {
  return family === 'vit' ? new VisionTransformer(config as object) : new SwinTransformer(config as object);
}

async function modelWork({ kind, model: architecture, tuning, optimizer, batch, precision }: ModelRow): Promise<Work> {
  const model = build(architecture);
  if (tuning) {
    const { method, ...options } = tuning;
    applyTuning(model, method, options);
  }
  model.initialize(0);
  const { imgSize, numClasses } = architecture;
  const images = tf.randomNormal([batch, imgSize, imgSize, 3]);
  const labels = tf.randomUniform([batch], 0, numClasses, 'int32');
  const mask = tf.ones([batch]);
  const key = tf.tensor1d([0, 0], 'int32');
  const infers = kind === 'infer';
  const step = infers
    ? evaluateStep(model)
    : trainStep(model, createOptimizer(OPTIMIZERS[optimizer], model.trainableParameters()));
  const inputs: StepInputs = infers ? { images, labels, mask } : { images, labels, key, learningRate: 0.001, step: 1 };
  const runOf = (program: Program) => (): void => {
    const outputs = program.run('step', inputs);
    outputs['loss']!.dataSync();
    tf.dispose(outputs);
  };
  const program = new Program({ precision }).define('step', step);
  const flops = tuning ? 0 : (infers ? 1 : 3) * 2 * batch * multiplyAccumulates(model, imgSize);
  const work = { flops, run: runOf(program) };
  if (kind !== 'first') return work;
  const eager = runOf(new Program({ mode: 'eager' }).define('step', step));
  eager();
  return { ...work, eagerMs: await timed(eager), graphBytes: () => program.size().bytes };
}

const multiplyAccumulates = (model: VisionTransformer | SwinTransformer, imgSize: number): number =>
  summary(model, [1, imgSize, imgSize, 3]).multiplyAccumulates;

function matmulWork({ size, precision }: MatmulRow): Work {
  const program = new Program({ precision });
  const matrix = tf.variable(tf.randomNormal([size, size]));
  // several products, so that casts and the read of one number do not count
  program.define('product', () => {
    let x = matrix as tf.Tensor2D;
    for (let i = 0; i < 8; i++) x = tf.matMul(matrix as tf.Tensor2D, x);
    return { corner: tf.slice(x, [0, 0], [1, 1]) };
  });
  return {
    flops: 8 * 2 * size ** 3,
    run: () => {
      const { corner } = program.run('product', {});
      corner!.dataSync();
      tf.dispose(corner!);
    },
  };
}

async function dataWork(row: DataRow, folder: string): Promise<Work> {
  const dataset = await openDataset(`imagefolder:${folder}`, 'train');
  const transforms: TransformSpec[] = [
    { name: 'randomCrop', size: row.side, padding: 4 },
    { name: 'horizontalFlip' },
    { name: 'normalize', mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
  ];
  const loader = new DataLoader(dataset, {
    batchSize: row.batch,
    transforms,
    shuffle: true,
    workers: 2,
    cacheBytes: 0,
  });
  let epoch = 0;
  return {
    flops: 0,
    run: async () => {
      for await (const batch of loader.epoch(epoch++)) if (batch.images.length === 0) throw new Error('an empty batch');
    },
  };
}

async function prepare(row: Row, folder: string): Promise<Work> {
  if (row.kind === 'data') return dataWork(row, folder);
  await startEngine('tensorflow');
  return row.kind === 'matmul' ? matmulWork(row) : modelWork(row);
}

function peakBytes(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync('/proc/self/status', 'utf8'));
  return line ? 1024 * Number(line[1]) : 0;
}

async function timed(run: Work['run']): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

async function serve(): Promise<void> {
  const say = (message: object): void => console.log(JSON.stringify(message));
  let work: Work | undefined;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as { row?: Row; folder?: string; rounds?: number; end?: boolean };
    if (message.row) {
      work = await prepare(message.row, message.folder ?? '');
      const firstMs = await timed(work.run);
      const secondMs = await timed(work.run);
      const { flops, eagerMs, graphBytes } = work;
      say({ ready: true, firstMs, secondMs, flops, eagerMs, graphBytes: graphBytes?.() });
    } else if (message.rounds) {
      const ms: number[] = [];
      for (let i = 0; i < message.rounds; i++) ms.push(await timed(work!.run));
      say({ ms });
    } else if (message.end) {
      say({ peakBytes: peakBytes() });
      process.exit(0);
    }
  }
}

void serve();
