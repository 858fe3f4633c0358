import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contentChecksum, type Dataset, openDataset } from '../../src/data/index.js';
import { UsageError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';

/** Test accuracy of a softmax regression on `features`, trained with plain gradient descent on mini-batches. */
function linearAccuracy(
  train: Float32Array[],
  trainLabels: number[],
  test: Float32Array[],
  testLabels: number[],
): number {
  const classes = Math.max(...trainLabels) + 1;
  const size = train[0]!.length;
  const weights = Array.from({ length: classes }, () => new Float32Array(size + 1));
  const scores = new Float64Array(classes);
  const score = (x: Float32Array) => {
    for (let c = 0; c < classes; c++) {
      const w = weights[c]!;
      let sum = w[size]!;
      for (let i = 0; i < size; i++) sum += w[i]! * x[i]!;
      scores[c] = sum;
    }
  };
  for (let epoch = 0; epoch < 6; epoch++) {
    for (const n of new Rng(1, 'linear', epoch).permutation(train.length)) {
      const x = train[n]!;
      score(x);
      const highest = Math.max(...scores);
      const total = scores.reduce((sum, s) => sum + Math.exp(s - highest), 0);
      for (let c = 0; c < classes; c++) {
        const step = 0.002 * ((c === trainLabels[n] ? 1 : 0) - Math.exp(scores[c]! - highest) / total);
        const w = weights[c]!;
        for (let i = 0; i < size; i++) w[i]! += step * x[i]!;
        w[size]! += step;
      }
    }
  }
  const right = test.filter((x, n) => {
    score(x);
    return scores.indexOf(Math.max(...scores)) === testLabels[n];
  });
  return right.length / test.length;
}

async function pixels(dataset: Dataset): Promise<[Float32Array[], number[]]> {
  const images: Float32Array[] = [];
  const labels: number[] = [];
  for (let i = 0; i < dataset.length; i++) {
    const { data } = await dataset.image(i);
    images.push(Float32Array.from(data, (value) => value / 128 - 1));
    labels.push(dataset.label(i));
  }
  return [images, labels];
}

describe('drawn data sets', () => {
  it('draw the same images for ever', async () => {
    const sums: Record<string, string> = {
      shapes10: 'sha256:968de8863cf6b9aef5e8de53fb025e60a8359ba1e861d16c6189a1c7473f3084',
      shapes100: 'sha256:2d43b62d5b991f957591e293baa63a85a1006b7c5e7fdc0fae5d1e00d8e89edd',
    };
    for (const [name, sum] of Object.entries(sums)) {
      assert.equal(await contentChecksum(await openDataset(`${name}?test=20&seed=5`, 'test')), sum, name);
    }
  });

  it('have balanced classes, sizes and names', async () => {
    const ten = await openDataset('shapes10', 'train');
    assert.deepEqual([ten.length, ten.classes.length], [10_000, 10]);
    const hundred = await openDataset('shapes100?train=1000&test=300', 'train');
    assert.deepEqual([hundred.length, new Set(hundred.classes).size], [1000, 100]);
    const counts = new Int32Array(100);
    for (let i = 0; i < hundred.length; i++) counts[hundred.label(i)]!++;
    assert.deepEqual([...new Set(counts)], [10]);
    assert.equal((await openDataset('shapes100?test=300', 'test')).length, 300);
    const shapesOf = (classes: readonly string[]) => new Set(classes.map((name) => name.split(' ').at(-1)));
    for (const shape of shapesOf(hundred.classes))
      assert.ok(!shapesOf(ten.classes).has(shape), 'transfer means new shapes');
  });

  it('differ by seed, split and index, and tell so in the checksum', async () => {
    const first = async (spec: string, split: 'train' | 'test') => {
      const dataset = await openDataset(spec, split);
      return [Buffer.from((await dataset.image(0)).data).toString('hex'), dataset.description.checksum];
    };
    const [pixelsA, sumA] = await first('shapes10', 'train');
    const [pixelsB, sumB] = await first('shapes10?seed=1', 'train');
    const [pixelsC, sumC] = await first('shapes10', 'test');
    assert.equal(new Set([pixelsA, pixelsB, pixelsC]).size, 3);
    assert.equal(new Set([sumA, sumB, sumC]).size, 3);
    assert.deepEqual(await first('shapes10', 'train'), [pixelsA, sumA]);
    const [, shorter] = await first('shapes10?train=50', 'train');
    assert.notEqual(shorter, sumA);
  });

  it('keep a linear model on pixels near chance', async () => {
    const [train, trainLabels] = await pixels(await openDataset('shapes10?train=1500', 'train'));
    const [test, testLabels] = await pixels(await openDataset('shapes10?test=500', 'test'));
    const accuracy = linearAccuracy(train, trainLabels, test, testLabels);
    assert.ok(accuracy < 0.25, `a linear model reaches ${accuracy} where chance is 0.1`);
  });

  it('do not show the class in the mean colour', async () => {
    const dataset = await openDataset('shapes10?train=2000', 'train');
    const sums = Array.from({ length: 10 }, () => [0, 0, 0]);
    for (let i = 0; i < dataset.length; i++) {
      const { data } = await dataset.image(i);
      for (let k = 0; k < data.length; k++) sums[dataset.label(i)]![k % 3]! += data[k]! / (1024 * 200);
    }
    for (const channel of [0, 1, 2]) {
      const means = sums.map((sum) => sum[channel]!);
      assert.ok(Math.max(...means) - Math.min(...means) < 25, `means of channel ${channel}: ${means.map(Math.round)}`);
    }
  });

  it('refuse parameters they do not have', async () => {
    for (const spec of [
      'shapes10?size=64',
      'shapes10?train=0',
      'shapes10?train=many',
      'shapes10?train',
      'shapes10?seed=1&seed=2',
      'shapes10?seed=%',
      'shapes10:there',
    ]) {
      await assert.rejects(openDataset(spec, 'train'), UsageError, spec);
    }
    await assert.rejects(openDataset('shapes1', 'train'), /did you mean shapes10\b/);
    await assert.rejects(openDataset('shapes10', 'valid' as 'test'), /train and test/);
  });
});
