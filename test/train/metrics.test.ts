import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { ConfusionMatrix, correctTopK, Mean, predictions } from '../../src/train/index.js';
import { randomTensor, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const count = (logits: Tensor, labels: number[], k: number, mask?: number[]): number =>
  values(correctTopK(logits, tf.tensor1d(labels, 'int32'), k, mask && tf.tensor1d(mask)))[0]!;

describe('correctTopK', () => {
  it('is what sorting says', () => {
    const logits = randomTensor(1, [64, 7]);
    const labels = Array.from({ length: 64 }, (_, i) => i % 7);
    const rows = logits.arraySync() as number[][];
    const rank = rows.map((row, i) => row.filter((value) => value > row[labels[i]!]!).length);
    for (let k = 1; k <= 7; k++) assert.equal(count(logits, labels, k), rank.filter((r) => r < k).length);
    const best = values(predictions(logits));
    assert.equal(count(logits, labels, 1), labels.filter((label, i) => label === best[i]).length);
  });

  it('ranks equal logits by class', () => {
    const flat = tf.zeros([5, 5]);
    const labels = [0, 1, 2, 3, 4];
    assert.deepEqual(
      [1, 2, 3, 5].map((k) => count(flat, labels, k)),
      [1, 2, 3, 5],
    );
  });

  it('counts no padded example', () => {
    const logits = tf.oneHot(tf.tensor1d([2, 1, 0, 0], 'int32'), 3, 5, 0, 'float32');
    assert.equal(count(logits, [2, 1, 0, 0], 1, [1, 1, 1, 0]), 3);
    assert.equal(count(logits, [2, 1, 0, 0], 1, [0, 0, 0, 0]), 0);
  });

  it('counts NaN as wrong and bears infinities', () => {
    const nan = tf.fill([2, 4], Number.NaN);
    assert.equal(count(nan, [0, 3], 1), 0);
    assert.equal(count(nan, [0, 3], 3), 0);
    const masked = tf.tensor2d([3, Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY], [1, 4]);
    assert.equal(count(masked, [0], 1), 1);
    assert.equal(count(masked, [2], 1), 0);
    assert.equal(count(masked, [2], 2), 1);
  });

  it('can be replayed', () => {
    const program = new Program().define('count', ({ logits, labels, mask }) => ({
      top1: correctTopK(logits!, labels!, 1, mask),
    }));
    const labels = tf.tensor1d([0, 1, 2, 3], 'int32');
    for (const seed of [1, 2]) {
      const logits = randomTensor(seed, [4, 4]);
      const mask = tf.tensor1d([1, 1, 1, 0]);
      const { top1 } = program.run('count', { logits, labels, mask });
      assert.deepEqual(values(top1!), values(correctTopK(logits, labels, 1, mask)));
    }
    program.dispose();
  });

  it('refuses what does not fit', () => {
    assert.throws(() => count(tf.zeros([2, 3]), [0], 1), ShapeError);
    assert.throws(() => count(tf.zeros([2, 3]), [0, 1], 1, [1]), ShapeError);
    assert.throws(() => count(tf.zeros([2, 3]), [0, 1], 4), UsageError);
    assert.throws(() => count(tf.zeros([2, 3]), [0, 1], 0), UsageError);
  });
});

describe('Mean', () => {
  it('weighs batches by their size', () => {
    const mean = new Mean();
    assert.ok(Number.isNaN(mean.value));
    mean.add(10, 4);
    mean.add(2);
    assert.equal(mean.count, 5);
    assert.equal(mean.value, 2.4);
  });
});

describe('ConfusionMatrix', () => {
  it('gives accuracy, and accuracy with every class weighing the same', () => {
    const matrix = new ConfusionMatrix(4);
    matrix.add([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]);
    matrix.add([1, 1, 2], [1, 0, 0]);
    assert.equal(matrix.accuracy, 6 / 9);
    assert.deepEqual(matrix.perClass, [5 / 6, 1 / 2, 0, Number.NaN]);
    assert.ok(Math.abs(matrix.balancedAccuracy - (5 / 6 + 1 / 2 + 0) / 3) < 1e-15);
    assert.deepEqual([...matrix.counts[1]!], [1, 1, 0, 0]);
  });

  it('refuses classes that do not exist and lists of different lengths', () => {
    const matrix = new ConfusionMatrix(2);
    assert.throws(() => matrix.add([2], [0]), UsageError);
    assert.throws(() => matrix.add([0], [-1]), UsageError);
    assert.throws(() => matrix.add([0, 1], [0]), UsageError);
  });
});
