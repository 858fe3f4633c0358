import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashPurpose, PhiloxStream, Rng } from '../../src/random/index.js';

describe('PhiloxStream', () => {
  it('gives the floats of TensorFlow StatelessRandomUniform', () => {
    // tf.random.stateless_uniform([3], seed), TensorFlow 2.21
    const expected: [number, number, number[]][] = [
      [7, 3, [0.9818005561828613, 0.3957263231277466, 0.722382664680481]],
      [-5, 9, [0.7707898616790771, 0.26448094844818115, 0.04546177387237549]],
      [123456, -1, [0.8110655546188354, 0.4390544891357422, 0.44625329971313477]],
    ];
    for (const [seed0, seed1, values] of expected) {
      const stream = new PhiloxStream(seed0, seed1);
      assert.deepEqual([stream.uniform(), stream.uniform(), stream.uniform()], values);
    }
  });
});

describe('Rng', () => {
  const draw = (rng: Rng, n: number, f: (rng: Rng) => number): number[] => Array.from({ length: n }, () => f(rng));

  it('follows from seed, purpose and step alone', () => {
    const first = draw(new Rng(1, 'dropout', 5), 20, (r) => r.uniform());
    assert.deepEqual(
      draw(new Rng(1, 'dropout', 5), 20, (r) => r.uniform()),
      first,
    );
    for (const other of [new Rng(2, 'dropout', 5), new Rng(1, 'shuffle', 5), new Rng(1, 'dropout', 6)]) {
      assert.notDeepEqual(
        draw(other, 20, (r) => r.uniform()),
        first,
      );
    }
  });

  it('has the moments of its distributions', () => {
    const n = 200_000;
    const moments = (values: number[]): [number, number] => {
      const mean = values.reduce((a, b) => a + b, 0) / n;
      return [mean, Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / n)];
    };
    const [uniformMean, uniformStd] = moments(draw(new Rng(3, 'u'), n, (r) => r.uniform(-1, 3)));
    assert.ok(Math.abs(uniformMean - 1) < 0.01 && Math.abs(uniformStd - 4 / Math.sqrt(12)) < 0.01);
    const [normalMean, normalStd] = moments(draw(new Rng(3, 'n'), n, (r) => r.normal(2, 3)));
    assert.ok(Math.abs(normalMean - 2) < 0.03 && Math.abs(normalStd - 3) < 0.03);
    const cut = draw(new Rng(3, 't'), n, (r) => r.truncatedNormal(0, 1, -1, 0.5));
    assert.ok(cut.every((value) => value >= -1 && value <= 0.5));
  });

  it('draws every integer below the bound equally often and refuses other bounds', () => {
    const counts = new Array<number>(7).fill(0);
    for (const value of draw(new Rng(4, 'i'), 70_000, (r) => r.integer(7))) counts[value]!++;
    assert.ok(counts.every((count) => Math.abs(count - 10_000) < 500));
    for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 33]) {
      assert.throws(() => new Rng(0, 'i').integer(bound), /bound between 1 and 2\^32/);
    }
  });

  it('permutes: every index once, in an order that the seed decides', () => {
    const order = new Rng(5, 'shuffle').permutation(1000);
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      Array.from({ length: 1000 }, (_, i) => i),
    );
    assert.notDeepEqual([...order], [...new Rng(6, 'shuffle').permutation(1000)]);
  });

  it('spreads purposes over all 32 bits', () => {
    const hashes = new Set(Array.from({ length: 10_000 }, (_, i) => hashPurpose(`blocks.${i}`)));
    assert.equal(hashes.size, 10_000);
  });
});
