// Training steps of a small ViT with dropout on fixed data. As a script: `trainSteps.ts STEPS` prints losses and a
// digest of the weights, on the engine that VITLAB_ENGINE names.
import { createHash } from 'node:crypto';
import { Program, startEngine, tf } from '../../src/engine/index.js';
import { VisionTransformer } from '../../src/models/index.js';
import { Rng } from '../../src/random/index.js';
import { createOptimizer, type OptimizerConfig, trainStep } from '../../src/train/index.js';

interface Options {
  optimizer: OptimizerConfig;
  mode: 'eager' | 'replay';
  precision?: 'fp32' | 'bf16';
  steps: number;
  trains?: (name: string) => boolean;
  /** Used and left open, to look at. */
  program?: Program;
}

export function trainSteps({ optimizer: config, mode, precision = 'fp32', steps, trains, program }: Options): {
  losses: number[];
  weights: number[];
} {
  const model = new VisionTransformer({
    imgSize: 16,
    patchSize: 4,
    embedDim: 32,
    depth: 2,
    numHeads: 2,
    numClasses: 5,
    // the loss does not depend on a bias of the keys: its gradient is rounding error, which Adam blows up to full steps
    qkvBias: false,
    projDropRate: 0.1,
    attnDropRate: 0.1,
    dropPathRate: 0.1,
  }).initialize(0);
  if (trains) model.setTrainable(trains);
  const optimizer = createOptimizer(config, model.trainableParameters());
  const used = (program ?? new Program({ mode, precision })).define('train', trainStep(model, optimizer));
  const rng = new Rng(3, 'data');
  const images = tf.tensor(
    Float32Array.from({ length: 8 * 16 * 16 * 3 }, () => rng.normal()),
    [8, 16, 16, 3],
  );
  const labels = tf.tensor1d(
    Int32Array.from({ length: 8 }, () => rng.integer(5)),
    'int32',
  );
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const key = tf.tensor1d([9, step], 'int32');
    const outputs = used.run('train', { images, labels, key, learningRate: 0.003, step: step + 1 });
    losses.push(outputs['loss']!.dataSync()[0]!);
    tf.dispose([key, outputs] as unknown as tf.TensorContainer);
  }
  const weights = Object.values(model.stateDict()).flatMap((tensor) => [...tensor.dataSync()]);
  if (!program) used.dispose();
  tf.dispose([images, labels]);
  optimizer.dispose();
  model.dispose();
  return { losses, weights };
}

async function main(): Promise<void> {
  const { canCapture } = await startEngine();
  const mode = canCapture ? 'replay' : 'eager';
  const { losses, weights } = trainSteps({ optimizer: { name: 'adamw' }, mode, steps: Number(process.argv[2]) });
  const digest = createHash('sha256').update(Float32Array.from(weights)).digest('hex');
  console.log(JSON.stringify({ losses, digest }));
}

if (require.main === module) void main();
