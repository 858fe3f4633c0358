import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';
import { cutmix, drawBox, drawLambda, mixup, oneHot } from '../../src/train/index.js';
import { assertClose, randomTensor, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const batch = () => ({ images: randomTensor(1, [3, 4, 5, 2]), targets: oneHot(tf.tensor1d([0, 2, 1], 'int32'), 3) });
const permutation = (): Tensor => tf.tensor1d([2, 0, 1], 'int32');

describe('mixup', () => {
  it('blends images and targets alike', () => {
    const { images, targets } = mixup(batch(), permutation(), tf.scalar(0.3));
    const from = values(batch().images);
    const other = values(tf.gather(batch().images, permutation()));
    assertClose(
      values(images),
      from.map((value, i) => 0.3 * value + 0.7 * other[i]!),
      1e-6,
    );
    assertClose(values(targets), [0.3, 0.7, 0, 0.7, 0, 0.3, 0, 0.3, 0.7], 1e-6);
  });

  it('changes nothing at lambda 1', () => {
    assert.deepEqual(values(mixup(batch(), permutation(), tf.scalar(1)).images), values(batch().images));
  });
});

describe('cutmix', () => {
  it('takes the box from the other image and targets by area', () => {
    const { images, targets } = cutmix(batch(), permutation(), tf.tensor1d([1, 2, 3, 5], 'int32'));
    const own = batch().images.arraySync() as number[][][][];
    const other = tf.gather(batch().images, permutation()).arraySync() as number[][][][];
    const got = images.arraySync() as number[][][][];
    for (let i = 0; i < 3; i++) {
      for (let y = 0; y < 4; y++) {
        for (let x = 0; x < 5; x++) {
          const inside = y >= 1 && y < 3 && x >= 2;
          assert.deepEqual(got[i]![y]![x], (inside ? other : own)[i]![y]![x]);
        }
      }
    }
    assertClose(values(targets).slice(0, 3), [0.7, 0.3, 0], 1e-6);
  });

  it('refuses what does not fit', () => {
    const short = tf.tensor1d([0, 1], 'int32');
    assert.throws(() => mixup(batch(), short, tf.scalar(0.5)), ShapeError);
    const labels = { images: batch().images, targets: tf.tensor1d([0, 1, 2]) };
    assert.throws(() => cutmix(labels, permutation(), tf.tensor1d([0, 0, 1, 1], 'int32')), ShapeError);
  });
});

describe('draws', () => {
  it('lambda has the mean and variance of the beta distribution', () => {
    for (const alpha of [0.1, 0.8, 1, 3]) {
      const rng = new Rng(7, 'lambda');
      const drawn = Array.from({ length: 20_000 }, () => drawLambda(rng, alpha));
      assert.ok(drawn.every((value) => value >= 0 && value <= 1));
      const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
      const variance = drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / drawn.length;
      assert.ok(Math.abs(mean - 0.5) < 0.015, `mean ${mean} at ${alpha}`);
      assert.ok(Math.abs(variance / (1 / (4 * (2 * alpha + 1))) - 1) < 0.05, `variance ${variance} at ${alpha}`);
    }
    assert.throws(() => drawLambda(new Rng(1, 'lambda'), 0), UsageError);
  });

  it('a box lies in the image and is no larger than asked', () => {
    const rng = new Rng(7, 'box');
    for (let i = 0; i < 500; i++) {
      const lambda = rng.uniform();
      const [top, left, bottom, right] = drawBox(rng, 20, 30, lambda);
      assert.ok(top >= 0 && left >= 0 && bottom <= 20 && right <= 30 && top <= bottom && left <= right);
      assert.ok((bottom - top) * (right - left) <= (1 - lambda) * 600 + 1e-9);
    }
  });
});
