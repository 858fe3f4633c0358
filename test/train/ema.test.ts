import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { ShapeError } from '../../src/errors.js';
import { BatchNorm1d, Linear, Sequential } from '../../src/nn/index.js';
import { emaDecay, moveTowards, WeightEma } from '../../src/train/index.js';
import { assertClose, values } from './helpers.js';

before(() => startEngine('tensorflow'));

describe('moveTowards', () => {
  it('keeps the digits of a rate close to 0', () => {
    const average = tf.variable(tf.tensor1d([0]));
    const source = tf.tensor1d([1]);
    for (let step = 0; step < 100; step++) moveTowards([[average, source]], tf.scalar(1e-6));
    assertClose(values(average), [1 - (1 - 1e-6) ** 100], 1e-9);
  });

  it('refuses a rate that is no scalar', () => {
    assert.throws(() => moveTowards([], tf.tensor1d([0.1])), ShapeError);
  });
});

describe('emaDecay', () => {
  it('is constant after the first step, or rises to its limit', () => {
    assert.deepEqual(
      [0, 1, 2, 100].map((step) => emaDecay(step, { decay: 0.9 })),
      [0, 0, 0.9, 0.9],
    );
    const warm = Array.from({ length: 200 }, (_, step) => emaDecay(step, { decay: 0.95, warmup: true }));
    for (let step = 1; step < 200; step++) assert.ok(warm[step]! >= warm[step - 1]!);
    assert.equal(warm[199], 0.95);
    assert.ok(Math.abs(warm[2]! - (1 - 2 ** (-2 / 3))) < 1e-15);
  });
});

describe('WeightEma', () => {
  const model = (): Sequential => {
    const made = new Sequential([new Linear(2, 2), new BatchNorm1d(2)]).initialize(1);
    made.setTrainable((name) => name !== '0.bias');
    return made;
  };

  it('follows weights and statistics, not what is frozen', () => {
    const trained = model();
    const ema = new WeightEma(trained);
    assert.deepEqual([...ema.averages.keys()].sort(), [
      '0.weight',
      '1.bias',
      '1.num_batches_tracked',
      '1.running_mean',
      '1.running_var',
      '1.weight',
    ]);
    const weight = trained.stateDict()['0.weight'] as tf.Variable;
    const start = values(weight);
    weight.assign(tf.add(weight, 1));
    (trained.stateDict()['1.num_batches_tracked'] as tf.Variable).assign(tf.scalar(7));
    ema.update(tf.scalar(0.25));
    assert.deepEqual(values(ema.averages.get('1.num_batches_tracked')!), [7]);
    assertClose(
      values(ema.averages.get('0.weight')!),
      start.map((value) => value + 0.25),
      1e-6,
    );
  });

  it('swaps there and back bit for bit, and frees what it holds', () => {
    const trained = model();
    const { numTensors } = tf.memory();
    const ema = new WeightEma(trained);
    const weight = trained.stateDict()['0.weight'] as tf.Variable;
    tf.tidy(() => weight.assign(tf.mul(weight, 3)));
    tf.tidy(() => ema.update(tf.scalar(0.5)));
    const [learnt, averaged] = [values(weight), values(ema.averages.get('0.weight')!)];
    ema.swap();
    assert.deepEqual(values(weight), averaged);
    ema.swap();
    assert.deepEqual(values(weight), learnt);
    assert.deepEqual(values(ema.averages.get('0.weight')!), averaged);
    ema.dispose();
    assert.equal(tf.memory().numTensors, numTensors);
  });
});
