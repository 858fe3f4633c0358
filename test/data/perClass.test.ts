import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { holdOut, imagesPerClass, openDataset } from '../../src/data/index.js';

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
    assert.throws(() => imagesPerClass(set, [1, 2]), { name: 'UsageError', message: /10 classes, but counts for 2/ });
  });
});

describe('holding out', () => {
  it('sets the last images of each class aside, and leaves each class some', async () => {
    const set = await openDataset('shapes10?train=55', 'train');
    const { train, held } = holdOut(set, 0.2);
    assert.equal(train.length + held.length, 55);
    assert.equal(new Set([...train, ...held]).size, 55);
    // six images of the first five classes and five of the others: one is a fifth of both
    assert.deepEqual([...held], [45, 46, 47, 48, 49, 50, 51, 52, 53, 54]);
    assert.equal(holdOut(set, 0.99).train.length, 10);
  });

  it('needs a share, and two images of a class', async () => {
    const set = await openDataset('shapes10?train=55', 'train');
    assert.throws(() => holdOut(set, 1), { name: 'UsageError', message: /between 0 and 1, got 1/ });
    const small = await openDataset('shapes10?train=15', 'train');
    assert.throws(() => holdOut(small, 0.5), {
      name: 'UsageError',
      message: /has 1 image of .*: none can be held out/,
    });
  });
});
