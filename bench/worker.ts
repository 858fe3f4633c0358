// Our side of a benchmark row, in a process of its own. Speaks JSON lines: {row} → {ready, firstMs, flops};
// {rounds} → {ms}; {end} → {peakBytes}. The peer, peer.py, speaks the same.
import fs from 'node:fs';
import readline from 'node:readline';
import { DataLoader, openDataset, type TransformSpec } from '../src/data/index.js';
import { Program, type StepInputs, startEngine, tf } from '../src/engine/index.js';
import { VisionTransformer } from '../src/models/index.js';
import { summary } from '../src/nn/index.js';
import { createOptimizer, evaluateStep, trainStep } from '../src/train/index.js';
import type { DataRow, MatmulRow, ModelRow, Row } from './rows.js';

/** One unit of work, made ready. */
interface Work {
  run(): Promise<void> | void;
  /** Floating-point operations of one run, for the fraction of the peak. */
  flops: number;
}

function modelWork({ kind, vit, batch, precision }: ModelRow): Work {
  const model = new VisionTransformer(vit).initialize(0);
  const { imgSize, numClasses } = vit;
  const forward = 2 * batch * summary(model, [1, imgSize, imgSize, 3]).multiplyAccumulates;
  const program = new Program({ precision });
  const images = tf.randomNormal([batch, imgSize, imgSize, 3]);
  const labels = tf.randomUniform([batch], 0, numClasses, 'int32');
  const mask = tf.ones([batch]);
  const key = tf.tensor1d([0, 0], 'int32');
  if (kind === 'infer') program.define('step', evaluateStep(model));
  else
    program.define(
      'step',
      trainStep(model, createOptimizer({ name: 'momentum', momentum: 0.9 }, model.trainableParameters())),
    );
  const inputs: StepInputs =
    kind === 'infer' ? { images, labels, mask } : { images, labels, key, learningRate: 0.01, step: 1 };
  return {
    flops: kind === 'infer' ? forward : 3 * forward,
    run: () => {
      const outputs = program.run('step', inputs);
      outputs['loss']!.dataSync();
      tf.dispose(outputs);
    },
  };
}

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
      await work.run();
      say({ ready: true, firstMs, flops: work.flops });
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
