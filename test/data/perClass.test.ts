import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { imagesPerClass, openDataset } from '../../src/data/index.js';

describe('images by class', () => {
  it('are the first of each class, in the order of the data set', async () => {
    const set = await openDataset('shapes10?train=40', 'train');
    const counts = [3, 0, 1, 0, 0, 0, 0, 0, 0, 2];
    assert.deepEqual([...imagesPerClass(set, counts)], [0, 2, 9, 10, 19, 20]);
    assert.equal(imagesPerClass(set, new Array(10).fill(4)).length, 40);
  });

  it('must be there', async () => {
    const set = await openDataset('shapes10?train=25', 'train');
    assert.throws(() => imagesPerClass(set, [...new Array(9).fill(2), 3]), {
      name: 'UsageError',
      message: new RegExp(`has 2 images of ${set.classes[9]}, but 3 were asked for`),
    });
    assert.throws(() => imagesPerClass(set, [1, 2]), { name: 'UsageError', message: /10 classes, but 2 numbers/ });
  });
});
