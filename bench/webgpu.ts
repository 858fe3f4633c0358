// What our kernels in WGSL are worth on the webgpu engine: with them and with tfjs's, with subgroups and without, in pairs
// in turn, in one process. `node --import tsx bench/webgpu.ts [pairs] [out.json]`
import fs from 'node:fs';
import os from 'node:os';
import { currentEngine, Program, startEngine, type Tensor, tf, withPortableOps } from '../src/engine/index.js';
import { VisionTransformer } from '../src/models/index.js';
import { layerNorm } from '../src/nn/index.js';
import { createOptimizer, type OptimizerConfig, trainStep } from '../src/train/index.js';
import { machine } from './machine.js';
import { median } from './measure.js';

const SIZE = { imgSize: 32, patchSize: 3, embedDim: 192, depth: 4, numHeads: 3, numClasses: 100 };
const BATCH = 1;
const OPTIMIZER: OptimizerConfig = { name: 'adamw' };

interface Side {
  ms: number[];
  /** Programs that one run queues. */
  dispatches: number;
}

type Compute = () => Tensor;

/** Milliseconds that `own` and `other` take, in turn. The first pair compiles their shaders and is left out. */
async function inTurn(pairs: number, own: Compute, other: Compute): Promise<{ own: Side; other: Side }> {
  let dispatches = 0;
  const backend = tf.backend() as unknown as { recordAndSubmit: (...run: unknown[]) => void };
  const submit = backend.recordAndSubmit;
  backend.recordAndSubmit = (...run) => {
    dispatches++;
    submit.apply(backend, run);
  };
  const sides = [own, other].map((compute) => ({ compute, ms: [] as number[], dispatches: 0 }));
  for (let pair = 0; pair <= pairs; pair++) {
    for (const side of sides) {
      dispatches = 0;
      const began = performance.now();
      const result = side.compute();
      await result.data();
      side.dispatches = dispatches;
      if (pair > 0) side.ms.push(Math.round(performance.now() - began));
      result.dispose();
    }
  }
  backend.recordAndSubmit = submit;
  const [first, second] = sides.map(({ ms, dispatches }): Side => ({ ms, dispatches }));
  return { own: first!, other: second! };
}

/** A training step, with our kernels and with tfjs's. */
async function step(pairs: number): Promise<{ own: Side; other: Side }> {
  const model = new VisionTransformer(SIZE).initialize(0);
  const program = new Program({ mode: 'eager' });
  program.define('step', trainStep(model, createOptimizer(OPTIMIZER, model.trainableParameters())));
  const inputs = {
    images: tf.randomNormal([BATCH, SIZE.imgSize, SIZE.imgSize, 3]),
    labels: tf.randomUniform([BATCH], 0, SIZE.numClasses, 'int32'),
    ...{ key: tf.tensor1d([0, 0], 'int32'), learningRate: 0.001, step: 1 },
  };
  const loss: Compute = () => {
    const { loss, ...others } = program.run('step', inputs);
    tf.dispose(others);
    return loss!;
  };
  return inTurn(pairs, loss, () => withPortableOps(loss));
}

/** Ten layer norms, with subgroups (where the device has them) and without. */
async function norms(pairs: number): Promise<{ own: Side; other: Side }> {
  const [x, weight, bias] = [tf.randomNormal([8 * 101, 192]), tf.ones([192]), tf.zeros([192])];
  const tenNorms: Compute = () =>
    tf.tidy(() =>
      Array.from({ length: 10 }, () => layerNorm(x, weight, bias, 1e-6))
        .at(-1)!
        .clone(),
    );
  return inTurn(pairs, tenNorms, () => {
    process.env['VITLAB_SUBGROUPS'] = '0';
    const y = tenNorms();
    delete process.env['VITLAB_SUBGROUPS'];
    return y;
  });
}

async function main(pairs: number, out?: string): Promise<void> {
  await startEngine('webgpu');
  const load = os.loadavg()[0]!;
  const row = (name: string, { own, other }: { own: Side; other: Side }) => ({
    name,
    own: { medianMs: median(own.ms), ...own },
    other: { medianMs: median(other.ms), ...other },
    medianRatio: Number(median(own.ms.map((ms, i) => other.ms[i]! / ms)).toFixed(3)),
  });
  const { embedDim, depth } = SIZE;
  const report = {
    command: `node --import tsx bench/webgpu.ts ${process.argv.slice(2).join(' ')}`.trim(),
    machine: { ...machine(), device: currentEngine().device },
    load,
    rows: [
      row(
        `train ViT ${embedDim}×${depth}, 101 tokens, batch ${BATCH}, fp32, ${OPTIMIZER.name}; other: tfjs's kernels`,
        await step(pairs),
      ),
      row('10 layer norms of 808 × 192; other: without subgroups', await norms(4 * pairs)),
    ],
  };
  for (const measured of report.rows) console.log(JSON.stringify(measured));
  if (out) fs.writeFileSync(out, `${JSON.stringify(report, null, 1)}\n`);
}

void main(Number(process.argv[2] ?? 5), process.argv[3]);
