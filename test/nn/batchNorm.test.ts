// Batch normalisation: both modes, running statistics, gradients.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf, valueAndGradients } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { BatchNorm1d, BatchNorm2d } from '../../src/nn/index.js';

before(() => startEngine());

const near = (got: ArrayLike<number>, expected: readonly number[], tolerance = 1e-5): void => {
  assert.equal(got.length, expected.length);
  for (let i = 0; i < got.length; i++) {
    assert.ok(Math.abs(got[i]! - expected[i]!) < tolerance, `[${i}]: ${got[i]} instead of ${expected[i]}`);
  }
};

const ROWS = [
  [1, 2],
  [3, -2],
  [5, 6],
];

describe('BatchNorm1d', () => {
  it('normalises with the biased variance and tracks the unbiased one', () => {
    const layer = new BatchNorm1d(2, { momentum: 0.25 }).initialize(0).train();
    const y = layer.forward(tf.tensor2d(ROWS));
    const scale = [1 / Math.sqrt(8 / 3 + 1e-5), 1 / Math.sqrt(32 / 3 + 1e-5)];
    near(y.dataSync(), [-2 * scale[0]!, 0, 0, -4 * scale[1]!, 2 * scale[0]!, 4 * scale[1]!]);
    near(layer.runningMean.value.dataSync(), [0.75, 0.5]);
    near(layer.runningVar.value.dataSync(), [0.75 + 0.25 * 4, 0.75 + 0.25 * 16]);
    near(layer.numBatchesTracked.value.dataSync(), [1]);
  });

  it('uses the running statistics outside training and leaves them alone', () => {
    const layer = new BatchNorm1d(2).initialize(0);
    layer.runningMean.value.assign(tf.tensor1d([1, -1]));
    layer.runningVar.value.assign(tf.tensor1d([4, 0.25]));
    layer.weight!.value.assign(tf.tensor1d([2, 3]));
    layer.bias!.value.assign(tf.tensor1d([0.5, -0.5]));
    near(layer.forward(tf.tensor2d(ROWS)).dataSync(), [0.5, 17.5, 2.5, -6.5, 4.5, 41.5], 1e-3);
    near(layer.runningMean.value.dataSync(), [1, -1]);
    near(layer.numBatchesTracked.value.dataSync(), [0]);
  });

  it('has the gradients of its definition in training', () => {
    const layer = new BatchNorm1d(2).initialize(0).train();
    layer.weight!.value.assign(tf.tensor1d([2, -1]));
    const x = tf.tensor2d(ROWS);
    const factors = tf.tensor2d([
      [1, 2],
      [0.5, -1],
      [-2, 3],
    ]);
    const loss = (rows: number[][]): number => {
      const columns = [0, 1].map((c) => rows.map((row) => row[c]!));
      const weights = [2, -1];
      const coefficients = factors.arraySync() as number[][];
      return columns.reduce((sum, column, c) => {
        const mean = column.reduce((a, b) => a + b, 0) / column.length;
        const variance = column.reduce((a, b) => a + (b - mean) ** 2, 0) / column.length;
        const part = column.map(
          (value, r) => coefficients[r]![c]! * weights[c]! * ((value - mean) / Math.sqrt(variance + 1e-5)),
        );
        return sum + part.reduce((a, b) => a + b, 0);
      }, 0);
    };
    const { value, gradients } = valueAndGradients(
      () => tf.sum(tf.mul(layer.forward(x), factors)),
      [x, layer.weight!.value, layer.bias!.value],
    );
    near(value.dataSync(), [loss(ROWS)], 1e-4);
    const slopes = ROWS.flatMap((row, r) =>
      row.map((_, c) => {
        const moved = (by: number): number[][] =>
          ROWS.map((other, i) => other.map((entry, j) => entry + (i === r && j === c ? by : 0)));
        return (loss(moved(1e-4)) - loss(moved(-1e-4))) / 2e-4;
      }),
    );
    near(gradients[0]!.dataSync(), slopes, 1e-4);
    near(gradients[2]!.dataSync(), [-0.5, 4]);
  });

  it('has no weight and bias without affine, and names its state as PyTorch does', () => {
    const plain = new BatchNorm1d(3, { affine: false }).initialize(0);
    assert.deepEqual(Object.keys(plain.stateDict()), ['running_mean', 'running_var', 'num_batches_tracked']);
    assert.equal(plain.numBatchesTracked.fileDtype, 'int64');
    const names = Object.keys(new BatchNorm1d(3).initialize(0).stateDict());
    assert.deepEqual(names, ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']);
  });

  it('keeps the number of tensors constant over steps', () => {
    const layer = new BatchNorm1d(2).initialize(0).train();
    const step = (): void => tf.tidy(() => void layer.forward(tf.tensor2d(ROWS)));
    step();
    const { numTensors } = tf.memory();
    for (let i = 0; i < 5; i++) step();
    assert.equal(tf.memory().numTensors, numTensors);
    near(layer.numBatchesTracked.value.dataSync(), [6]);
  });

  it('refuses one row in training and other shapes', () => {
    const layer = new BatchNorm1d(2).initialize(0).train();
    assert.throws(() => layer.forward(tf.zeros([1, 2])), UsageError);
    assert.throws(() => layer.forward(tf.zeros([4, 3])), ShapeError);
  });
});

describe('BatchNorm2d', () => {
  it('reduces over images, rows and columns', () => {
    const layer = new BatchNorm2d(2).initialize(0).train();
    const y = layer.forward(tf.randomNormal([3, 4, 5, 2], 7, 3));
    assert.deepEqual(y.shape, [3, 4, 5, 2]);
    near(tf.mean(y, [0, 1, 2]).dataSync(), [0, 0], 1e-4);
    near(tf.mean(tf.square(y), [0, 1, 2]).dataSync(), [1, 1], 1e-4);
  });
});
