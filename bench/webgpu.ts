// What our kernels in WGSL are worth on the webgpu engine: a training step with them and without, in pairs in turn, in
// one process. `node --import tsx bench/webgpu.ts [pairs] [out.json]`
import fs from 'node:fs';
import os from 'node:os';
import { currentEngine, Program, startEngine, tf, withPortableOps } from '../src/engine/index.js';
import { VisionTransformer } from '../src/models/index.js';
import { createOptimizer, type OptimizerConfig, trainStep } from '../src/train/index.js';
import { machine } from './machine.js';
import { median } from './measure.js';

interface Side {
  ms: number[];
  /** Programs that one step queues. */
  dispatches: number;
}

const SIZE = { imgSize: 32, patchSize: 3, embedDim: 192, depth: 4, numHeads: 3, numClasses: 100 };
const BATCH = 1;
const OPTIMIZER: OptimizerConfig = { name: 'adamw' };

async function measure(pairs: number): Promise<{ own: Side; portable: Side }> {
  const model = new VisionTransformer(SIZE).initialize(0);
  const program = new Program({ mode: 'eager' });
  program.define('step', trainStep(model, createOptimizer(OPTIMIZER, model.trainableParameters())));
  const inputs = {
    images: tf.randomNormal([BATCH, SIZE.imgSize, SIZE.imgSize, 3]),
    labels: tf.randomUniform([BATCH], 0, SIZE.numClasses, 'int32'),
    ...{ key: tf.tensor1d([0, 0], 'int32'), learningRate: 0.001, step: 1 },
  };
  let dispatches = 0;
  const backend = tf.backend() as unknown as { recordAndSubmit: (...run: unknown[]) => void };
  const submit = backend.recordAndSubmit;
  backend.recordAndSubmit = (...run) => {
    dispatches++;
    submit.apply(backend, run);
  };
  const step = async (side: Side, among: (run: () => tf.TensorContainerObject) => tf.TensorContainerObject) => {
    dispatches = 0;
    const began = performance.now();
    const outputs = among(() => program.run('step', inputs)) as Record<string, tf.Tensor>;
    await outputs['loss']!.data();
    side.ms.push(Math.round(performance.now() - began));
    side.dispatches = dispatches;
    tf.dispose(outputs);
  };
  const own: Side = { ms: [], dispatches: 0 };
  const portable: Side = { ms: [], dispatches: 0 };
  for (let pair = 0; pair <= pairs; pair++) {
    await step(own, (run) => run());
    await step(portable, withPortableOps);
    if (pair > 0) continue;
    // the first of each compiles its shaders
    own.ms = [];
    portable.ms = [];
  }
  return { own, portable };
}

async function main(pairs: number, out?: string): Promise<void> {
  await startEngine('webgpu');
  const load = os.loadavg()[0]!;
  const { own, portable } = await measure(pairs);
  const report = {
    command: `node --import tsx bench/webgpu.ts ${process.argv.slice(2).join(' ')}`.trim(),
    machine: { ...machine(), device: currentEngine().device },
    load,
    rows: [
      {
        name: `train ViT ${SIZE.embedDim}×${SIZE.depth}, 101 tokens, batch ${BATCH}, fp32, ${OPTIMIZER.name}`,
        own: { medianMs: median(own.ms), ...own },
        portable: { medianMs: median(portable.ms), ...portable },
        medianRatio: Number(median(own.ms.map((ms, i) => portable.ms[i]! / ms)).toFixed(3)),
      },
    ],
  };
  console.log(JSON.stringify(report.rows[0]));
  if (out) fs.writeFileSync(out, `${JSON.stringify(report, null, 1)}\n`);
}

void main(Number(process.argv[2] ?? 5), process.argv[3]);
