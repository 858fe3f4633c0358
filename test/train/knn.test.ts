// Features of a data set and the classifier that votes among them.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { createModel } from '../../src/models/index.js';
import { extractFeatures, type Features, knnAccuracy, knnPredict } from '../../src/train/index.js';
import { quadrants } from '../support/toy.js';
import { assertClose, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const features = (rows: number[][], labels: number[]): Features => ({
  values: Float32Array.from(rows.flat()),
  dim: rows[0]!.length,
  labels: Int32Array.from(labels),
});

describe('extractFeatures', () => {
  it('gives what the head would see, for every image of a source whose last batch is small', async () => {
    const settings = { imgSize: 8, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4 };
    const model = createModel('vit_nano_patch4_32', settings, { seed: 1 });
    const source = quadrants({ batchSize: 8, batches: 3, lastBatch: 3 });
    const { values: rows, dim, labels } = await extractFeatures(model, source);
    assert.deepEqual([rows.length, dim, labels.length], [19 * 16, 16, 19]);
    let start = 0;
    for await (const batch of source.epoch(0)) {
      const images = tf.tensor(batch.images, [...batch.shape]);
      const expected = values(model.pool(model.forwardFeatures(images)));
      assertClose([...rows.subarray(16 * start, 16 * start + expected.length)], expected, 1e-5);
      assert.deepEqual([...labels.subarray(start, start + batch.labels.length)], [...batch.labels]);
      start += batch.labels.length;
    }
  });
});

describe('knnPredict', () => {
  const memory = features(
    [
      [1, 0],
      [10, 1],
      [0, 3],
      [0.1, 1],
      [0.2, 1],
    ],
    [4, 4, 7, 7, 7],
  );

  it('goes by direction, not by length', async () => {
    const queries = features(
      [
        [100, 1],
        [0, 0.01],
      ],
      [4, 7],
    );
    assert.deepEqual([...(await knnPredict(memory, queries, { neighbours: 1 }))], [4, 7]);
    assert.equal(await knnAccuracy(memory, queries, { neighbours: 2 }), 1);
    assert.equal(await knnAccuracy(memory, features([[1, 0]], [7]), { neighbours: 2 }), 0);
  });

  it('lets near neighbours outvote more far ones, the more the lower the temperature', async () => {
    const queries = features([[1, 0.05]], [4]);
    assert.deepEqual([...(await knnPredict(memory, queries, { neighbours: 5, temperature: 0.07 }))], [4]);
    assert.deepEqual([...(await knnPredict(memory, queries, { neighbours: 5, temperature: 100 }))], [7]);
  });

  it('refuses more neighbours than there are, a temperature of 0 and features of another length', async () => {
    const queries = features([[1, 0]], [4]);
    await assert.rejects(knnPredict(memory, queries), UsageError);
    await assert.rejects(knnPredict(memory, queries, { neighbours: 1, temperature: 0 }), UsageError);
    await assert.rejects(knnPredict(memory, features([[1, 0, 0]], [4]), { neighbours: 1 }), ShapeError);
  });
});
