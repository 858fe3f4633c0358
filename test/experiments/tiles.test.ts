import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openDataset } from '../../src/data/index.js';
import { type Budget, exampleTiles, trainingTiles } from '../../src/experiments/index.js';

const budget: Budget = {
  epochs: 1,
  batchSize: 2,
  optimizer: { name: 'sgd' },
  schedule: { name: 'constant', baseLr: 0.1 },
  augmentation: 'cropFlip',
  seed: 1,
};

describe('tiles of a data set', () => {
  it('show different images with their classes', async () => {
    const set = await openDataset('shapes10?train=100', 'train');
    const tiles = await exampleTiles(set, 10);
    assert.equal(new Set(tiles.map(({ label }) => label)).size, 10);
    assert.deepEqual(tiles[3]!.pixels, (await set.image(33)).data);
    assert.equal((await exampleTiles(set, 0)).length, 0);
  });

  it('show what training sees, before it is normalised', async () => {
    const set = await openDataset('shapes10?train=6', 'train');
    const tiles = await trainingTiles(set, budget, 4);
    assert.deepEqual(
      tiles.map(({ height, width, pixels }) => [height, width, pixels.length]),
      Array(4).fill([32, 32, 32 * 32 * 3]),
    );
    assert.ok(tiles.every(({ pixels }) => pixels.every((value) => value >= 0 && value <= 1)));
    const plain = await trainingTiles(set, { ...budget, augmentation: 'none', images: { size: 16 } }, 10);
    assert.deepEqual([plain.length, plain[0]!.height], [6, 16], 'no more than there are');
    assert.notDeepEqual(tiles[0]!.pixels, (await trainingTiles(set, { ...budget, seed: 2 }, 4))[0]!.pixels);
  });
});
