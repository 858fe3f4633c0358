// Training steps of each family, recorded and replayed, against the same steps run eagerly.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, tf } from '../../src/engine/index.js';
import { createModel } from '../../src/models/index.js';
import { createOptimizer, trainStep } from '../../src/train/index.js';

before(() => startEngine());

const SETTINGS: Record<string, Record<string, unknown>> = {
  vit_nano_patch4_32: { depth: 2 },
  swin_nano_patch2_window4_32: { imgSize: [22, 26] },
  swin_tiny_patch4_window7_torchvision: {
    embedDim: 16,
    depths: [2, 2],
    numHeads: [2, 2],
    windowSize: 3,
    numClasses: 10,
  },
  moco_vit_conv_small: { imgSize: [32, 48], embedDim: 32, depth: 1, numHeads: 4, numClasses: 10 },
};

const IMAGE: Record<string, [number, number]> = {
  vit_nano_patch4_32: [32, 32],
  swin_nano_patch2_window4_32: [22, 26],
  swin_tiny_patch4_window7_torchvision: [32, 28],
  moco_vit_conv_small: [32, 48],
};

/** Losses of three steps and everything the model holds afterwards. */
function train(name: string, mode: 'eager' | 'replay') {
  const model = createModel(name, { ...SETTINGS[name], dropPathRate: 0.2 }, { seed: 1 });
  const optimizer = createOptimizer({ name: 'sgd', momentum: 0.9 }, model.trainableParameters());
  const program = new Program({ mode }).define('train', trainStep(model, optimizer));
  const losses = [1, 2, 3].map((step) =>
    tf.tidy(() => {
      const images = tf.randomNormal([4, ...IMAGE[name]!, 3], 0, 1, 'float32', step);
      const labels = tf.tensor1d([1, 5, 0, 9], 'int32');
      const given = { images, labels, key: tf.tensor1d([3, step], 'int32'), learningRate: 0.05, step };
      return program.run('train', given)['loss']!.dataSync()[0]!;
    }),
  );
  const state = Object.fromEntries(
    Object.entries(model.stateDict()).map(([key, value]) => [key, value.dataSync().slice()]),
  );
  program.dispose();
  optimizer.dispose();
  model.dispose();
  return { losses, state };
}

describe('recorded training steps', () => {
  for (const name of Object.keys(SETTINGS)) {
    it(`${name}: replayed as run eagerly`, () => {
      const eager = train(name, 'eager');
      const replay = train(name, 'replay');
      assert.notEqual(eager.losses[0], eager.losses[2]);
      eager.losses.forEach((loss, i) => {
        assert.ok(Math.abs(loss - replay.losses[i]!) < 1e-4, `step ${i}: ${replay.losses[i]} instead of ${loss}`);
      });
      for (const [key, values] of Object.entries(eager.state)) {
        const largest = Math.max(...values.map((value, i) => Math.abs(value - replay.state[key]![i]!)));
        assert.ok(largest < 1e-4, `${key} differs by ${largest}`);
      }
      const tracked = Object.entries(replay.state).filter(([key]) => key.endsWith('num_batches_tracked'));
      for (const [key, values] of tracked) assert.equal(values[0], 3, key);
      assert.equal(tracked.length, name.includes('conv') ? 4 : 0);
    });
  }
});
