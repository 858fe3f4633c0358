import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { UsageError } from '../../src/errors.js';
import { clipByGlobalNorm, GradientAccumulator, globalNorm } from '../../src/train/index.js';
import { assertClose, gradients, parameters, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const normOf = (all: ReadonlyMap<string, Tensor>): number =>
  Math.sqrt([...all.values()].flatMap(values).reduce((sum, value) => sum + value * value, 0));

describe('clipByGlobalNorm', () => {
  it('returns the norm before, and never makes a gradient longer', () => {
    for (const [seed, std] of [0.01, 0.1, 1, 100, 1e4].entries()) {
      for (const maxNorm of [0.1, 1, 50]) {
        const given = gradients(seed + 1, std);
        const { gradients: clipped, norm } = clipByGlobalNorm(given, maxNorm);
        const [first, then] = [normOf(given), normOf(clipped)];
        assert.ok(Math.abs(values(norm)[0]! / first - 1) < 1e-5);
        assert.ok(then <= Math.min(first, maxNorm) * (1 + 1e-6), `${first} became ${then} for at most ${maxNorm}`);
        assert.ok(then >= Math.min(first, maxNorm) * (1 - 1e-3), 'and not shorter than it must');
      }
    }
  });

  it('leaves short gradients bit for bit and keeps directions', () => {
    const given = gradients(1, 0.01);
    const same = clipByGlobalNorm(given, 1).gradients;
    for (const [name, gradient] of given) assert.deepEqual(values(same.get(name)!), values(gradient));
    const { gradients: clipped } = clipByGlobalNorm(gradients(1, 10), 1);
    const factor = values(clipped.get('weight')!)[0]! / values(gradients(1, 10).get('weight')!)[0]!;
    for (const [name, gradient] of gradients(1, 10)) {
      assertClose(
        values(clipped.get(name)!),
        values(gradient).map((value) => value * factor),
        1e-6,
      );
    }
  });

  it('hands on what is not finite', () => {
    const { norm } = clipByGlobalNorm(new Map([['weight', tf.tensor1d([1, Number.NaN])]]), 1);
    assert.ok(Number.isNaN(values(norm)[0]));
  });

  it('refuses a norm that is not above 0, and no gradients', () => {
    assert.throws(() => clipByGlobalNorm(gradients(1), 0), UsageError);
    assert.throws(() => clipByGlobalNorm(gradients(1), Number.NaN), UsageError);
    assert.throws(() => clipByGlobalNorm(new Map(), 1), UsageError);
  });

  it('frees everything but what it returns', () => {
    const given = gradients(1);
    const { numTensors } = tf.memory();
    const { gradients: clipped, norm } = clipByGlobalNorm(given, 1);
    globalNorm(given).dispose();
    tf.dispose([norm, ...clipped.values()]);
    assert.equal(tf.memory().numTensors, numTensors);
  });
});

describe('GradientAccumulator', () => {
  const trainable = () => new Map([...parameters()].filter(([, parameter]) => parameter.trainable));

  it('gives the mean over its batches and starts again, eagerly and replayed', () => {
    for (const mode of ['eager', 'replay'] as const) {
      const accumulator = new GradientAccumulator(trainable(), 3);
      const program = new Program({ mode })
        .define('add', ({ weight, bias }) => {
          accumulator.add(new Map(Object.entries({ weight: weight!, bias: bias! })));
          return {};
        })
        .define('take', ({ weight, bias }) =>
          Object.fromEntries(accumulator.take(new Map(Object.entries({ weight: weight!, bias: bias! })))),
        );
      for (const round of [0, 10]) {
        const all = [1, 2, 3].map((seed) => Object.fromEntries(gradients(round + seed)));
        program.run('add', all[0]!);
        program.run('add', all[1]!);
        const mean = program.run('take', all[2]!);
        for (const name of ['weight', 'bias']) {
          const each = all.map((batch) => values(batch[name]!));
          const expected = each[0]!.map((value, i) => (value + each[1]![i]! + each[2]![i]!) / 3);
          assertClose(values(mean[name]!), expected, 1e-6);
        }
      }
      assert.ok([...accumulator.sums.values()].flatMap(values).every((value) => value === 0));
      program.dispose();
      accumulator.dispose();
    }
  });

  it('refuses a number of batches that is none, and missing gradients', () => {
    assert.throws(() => new GradientAccumulator(trainable(), 0), UsageError);
    assert.throws(() => new GradientAccumulator(trainable(), 1.5), UsageError);
    assert.throws(() => new GradientAccumulator(trainable(), 2).add(new Map()), /no gradient for weight/);
  });
});
