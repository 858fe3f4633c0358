// Class weights: from counts, in an update, and what a wrong one is told.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, tf } from '../../src/engine/index.js';
import { UsageError } from '../../src/errors.js';
import { VisionTransformer } from '../../src/models/index.js';
import {
  classCounts,
  createOptimizer,
  type LabelledBatch,
  rarityWeights,
  type TrainStepOptions,
  trainStep,
} from '../../src/train/index.js';
import { quadrants } from '../support/toy.js';
import { assertClose } from './helpers.js';

before(() => startEngine('tensorflow'));

const smallViT = () =>
  new VisionTransformer({ imgSize: 8, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4 }).initialize(0);

async function firstBatch(): Promise<LabelledBatch> {
  for await (const batch of quadrants({ batches: 1 }).epoch(0)) return batch;
  throw new Error('There is no batch.');
}

describe('class weights', () => {
  it('count labels', () => {
    assert.deepEqual(classCounts([2, 0, 2, 2], 4), [1, 0, 3, 0]);
    assert.throws(() => classCounts([0, 4], 4), { name: 'UsageError', message: /no class 4 among 4/ });
    assert.throws(() => classCounts([-1], 4), UsageError);
  });

  it('grow with rarity and have a mean of 1', () => {
    assertClose(rarityWeights([10, 40]), [1.6, 0.4], 1e-12);
    assertClose(rarityWeights([10, 40], 'inverseSqrt'), [4 / 3, 2 / 3], 1e-12);
    assert.deepEqual(rarityWeights([7, 7, 7]), [1, 1, 1]);
    assert.throws(() => rarityWeights([3, 0]), { name: 'UsageError', message: /Class 1 has 0 examples/ });
  });

  it('weigh the loss of an update, over examples or over weights', async () => {
    const { images, shape, labels } = await firstBatch();
    const lossOf = (options: TrainStepOptions, mode: 'eager' | 'replay'): number => {
      const model = smallViT();
      const optimizer = createOptimizer({ name: 'sgd' }, model.trainableParameters());
      const program = new Program({ mode }).define('train', trainStep(model, optimizer, options));
      const inputs = { images: tf.tensor(images, [...shape]), labels: tf.tensor1d(labels, 'int32') };
      const { loss } = program.run('train', { ...inputs, key: tf.tensor1d([1, 0], 'int32'), learningRate: 0, step: 1 });
      const [value] = loss!.dataSync();
      program.dispose();
      model.dispose();
      return value!;
    };
    const classWeights = [2, 0.5, 1, 0.5];
    const one = (own: number) =>
      lossOf({ classWeights: [0, 1, 2, 3].map((c) => (c === own ? 1 : 1e-9)), meanOver: 'examples' }, 'eager');
    const sum = [0, 1, 2, 3].reduce((total, c) => total + classWeights[c]! * one(c), 0);
    const weight = labels.reduce((total, label) => total + classWeights[label]!, 0) / labels.length;
    for (const mode of ['eager', 'replay'] as const) {
      assertClose([lossOf({ classWeights, meanOver: 'examples' }, mode)], [sum], 1e-5);
      assertClose([lossOf({ classWeights }, mode)], [sum / weight], 1e-5);
      assertClose([lossOf({ classWeights: [1, 1, 1, 1] }, mode)], [lossOf({}, mode)], 1e-6);
    }
  });

  it('must be numbers above 0, one a class', () => {
    const model = smallViT();
    const optimizer = createOptimizer({ name: 'sgd' }, model.trainableParameters());
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => trainStep(model, optimizer, { classWeights: [1, wrong, 1, 1] }), {
        name: 'UsageError',
        message: /class 1 must be a number above 0/,
      });
    }
    const step = trainStep(model, optimizer, { classWeights: [1, 1] });
    const inputs = { images: tf.zeros([2, 8, 8, 3]), labels: tf.tensor1d([0, 1], 'int32') };
    const rest = { key: tf.tensor1d([1, 0], 'int32'), learningRate: tf.scalar(0), step: tf.scalar(1) };
    assert.throws(() => step({ ...inputs, ...rest }), {
      name: 'ShapeError',
      message: /Class weights must be \[4\], got \[2\]/,
    });
  });
});
