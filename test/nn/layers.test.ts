// The small layers: values by hand, gradients against differences, start values.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { RandomKey, startEngine, type Tensor, tf, valueAndGradients } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import {
  Attention,
  attentionWeights,
  Dropout,
  DropPath,
  ForwardContext,
  gelu,
  init,
  LayerNorm,
  Linear,
  layerNorm,
  Mlp,
  mergeHeads,
  PatchEmbed,
  splitHeads,
} from '../../src/nn/index.js';
import { Rng } from '../../src/random/index.js';

before(() => startEngine());

const context = (step = 0): ForwardContext => new ForwardContext(new RandomKey(tf.tensor1d([7, step], 'int32')));

const near = (got: ArrayLike<number>, expected: readonly number[], tolerance = 1e-5): void => {
  assert.equal(got.length, expected.length);
  for (let i = 0; i < got.length; i++) {
    assert.ok(Math.abs(got[i]! - expected[i]!) < tolerance, `[${i}]: ${got[i]} instead of ${expected[i]}`);
  }
};

/** Checks the gradient of sum(f(x) · weights) against central differences. */
function checkGradient(f: (x: Tensor) => Tensor, x: Tensor, tolerance = 2e-3): void {
  const weights = tf.randomNormal(f(x).shape, 0, 1, 'float32', 9);
  const loss = (input: Tensor): Tensor => tf.sum(tf.mul(f(input), weights));
  const { gradients } = valueAndGradients(() => loss(x), [x]);
  const values = x.dataSync();
  const slopes = [...values].map((_, i) => {
    const moved = (by: number): number => {
      const copy = values.slice();
      copy[i]! += by;
      return loss(tf.tensor(copy, x.shape)).dataSync()[0]!;
    };
    return (moved(1e-2) - moved(-1e-2)) / 2e-2;
  });
  near(gradients[0]!.dataSync(), slopes, tolerance);
}

describe('layers', () => {
  it('Linear: x Wᵀ + b over the last axis', () => {
    const layer = new Linear(2, 3).initialize(0);
    layer.weight.set(tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]));
    layer.bias!.set(tf.tensor1d([10, 20, 30]));
    const y = layer.forward(tf.tensor3d([1, 0, 0, 1, 1, 1, 2, 2], [2, 2, 2]));
    assert.deepEqual(y.shape, [2, 2, 3]);
    near(y.dataSync(), [11, 23, 35, 12, 24, 36, 13, 27, 41, 16, 34, 52]);
  });

  it('LayerNorm: the biased variance of the last axis', () => {
    const layer = new LayerNorm(3, 0).initialize(0);
    layer.weight.set(tf.tensor1d([1, 2, 3]));
    layer.bias.set(tf.tensor1d([0, 0, 1]));
    const scale = Math.sqrt(3 / 2);
    near(layer.forward(tf.tensor2d([[1, 2, 3]])).dataSync(), [-scale, 0, 3 * scale + 1]);
  });

  it('LayerNorm and GELU have the gradients of their definitions', () => {
    const x = tf.randomNormal([3, 4], 0, 1, 'float32', 2);
    const weight = tf.tensor1d([1, -2, 0.5, 3]);
    checkGradient((input) => layerNorm(input, weight, tf.zeros([4]), 1e-5), x);
    checkGradient((input) => layerNorm(x, input, tf.zeros([4]), 1e-5), weight);
    checkGradient((input) => gelu(input), x);
  });

  it('GELU: the exact form', () => {
    near(gelu(tf.tensor1d([-1, 0, 1, 3])).dataSync(), [-0.15865525, 0, 0.84134475, 2.99595031]);
  });

  it('Dropout: zeros a share of the entries in training and scales the rest', () => {
    const layer = new Dropout(0.25);
    const x = tf.ones([4000]);
    assert.equal(layer.forward(x), x);
    layer.train();
    const values = [...layer.forward(x, context()).dataSync()];
    const dropped = values.filter((value) => value === 0).length;
    assert.ok(Math.abs(dropped - 1000) < 150, `${dropped} of 4000 dropped`);
    assert.ok(values.every((value) => value === 0 || Math.abs(value - 4 / 3) < 1e-6));
    assert.throws(() => layer.forward(x), UsageError);
    assert.throws(() => new Dropout(1), UsageError);
  });

  it('Dropout: other numbers at each draw of a pass, the same ones for the same step', () => {
    const layer = new Dropout(0.5).train();
    const x = tf.ones([64]);
    const [pass, again] = [context(), context()];
    const first = [...layer.forward(x, pass).dataSync()];
    assert.notDeepEqual([...layer.forward(x, pass).dataSync()], first);
    assert.deepEqual([...layer.forward(x, again).dataSync()], first);
  });

  it('DropPath: drops whole examples', () => {
    const y = new DropPath(0.5)
      .train()
      .forward(tf.ones([200, 3, 2]), context())
      .arraySync() as number[][][];
    const sums = y.map((example) => example.flat().reduce((a, b) => a + b, 0));
    assert.ok(sums.every((sum) => sum === 0 || sum === 12));
    const kept = sums.filter((sum) => sum > 0).length;
    assert.ok(kept > 60 && kept < 140, `${kept} of 200 kept`);
  });

  it('Attention: heads split and merge, weights are a softmax with bias', () => {
    const qkv = tf.reshape(tf.range(0, 2 * 3 * 12), [2, 3, 12]);
    const [q, k, v] = splitHeads(qkv, 2);
    assert.deepEqual(q.shape, [2, 2, 3, 2]);
    near(tf.slice(k, [0, 1, 0, 0], [1, 1, 1, 2]).dataSync(), [6, 7]);
    near(tf.slice(mergeHeads(v), [1, 2, 0], [1, 1, 4]).dataSync(), [68, 69, 70, 71]);
    const zeros = tf.zeros([1, 1, 2, 4]);
    const bias = tf.tensor4d([0, Math.log(3), 0, 0], [1, 1, 2, 2]);
    near(attentionWeights(zeros, zeros, 1, bias).dataSync(), [0.25, 0.75, 0.5, 0.5]);
    assert.throws(() => new Attention(6, 4), UsageError);
  });

  it('Mlp: widens, applies GELU, narrows', () => {
    const mlp = new Mlp(4, 8).initialize(0);
    assert.deepEqual(mlp.forward(tf.zeros([2, 3, 4])).shape, [2, 3, 4]);
    assert.deepEqual(Object.keys(mlp.stateDict()), ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']);
  });

  it('PatchEmbed: rows of patches, channels before places in the weight', () => {
    const embed = new PatchEmbed({ imgSize: [3, 4], patchSize: [1, 2], inChans: 2, embedDim: 1 }).initialize(0);
    assert.deepEqual([...embed.gridSize], [3, 2]);
    const weight = embed.stateDict()['proj.weight'] as tf.Variable;
    weight.assign(tf.tensor4d([1, 10, 100, 1000], [1, 2, 1, 2]));
    (embed.stateDict()['proj.bias'] as tf.Variable).assign(tf.tensor1d([0.5]));
    const images = tf.reshape(tf.range(0, 24), [1, 3, 4, 2]);
    // The first patch: channel 0 has 0 and 2, channel 1 has 1 and 3.
    near(tf.slice(embed.forward(images), [0, 0, 0], [1, 2, 1]).dataSync(), [3120.5, 7564.5], 1e-2);
    assert.throws(() => embed.forward(tf.zeros([1, 4, 4, 2])), ShapeError);
  });
});

describe('initialisers', () => {
  const statistics = (initializer: ReturnType<typeof init.normal>, shape: number[]) => {
    const values = initializer(new Rng(1, 'test'), shape);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    return { std, largest: Math.max(...values.map(Math.abs)), mean };
  };

  it('have the bounds and deviations of their definitions', () => {
    const shape = [64, 32, 2, 2];
    const close = (got: number, expected: number): void =>
      assert.ok(Math.abs(got / expected - 1) < 0.05, `${got} instead of ${expected}`);
    close(statistics(init.xavierUniform, shape).largest, Math.sqrt(6 / ((32 + 64) * 4)));
    close(statistics(init.kaimingUniform(), shape).largest, 1 / Math.sqrt(128));
    close(statistics(init.uniform(0.3), shape).std, 0.3 / Math.sqrt(3));
    close(statistics(init.normal(0.7), shape).std, 0.7);
    close(statistics(init.truncatedNormal(0.02), shape).std, 0.02);
    const cut = statistics(init.truncatedNormal(1, 2), shape);
    assert.ok(cut.largest <= 2);
    close(cut.std, 0.8796);
    assert.deepEqual(init.fans(shape), { fanIn: 128, fanOut: 256 });
    assert.deepEqual([...init.constant(2)(new Rng(0, 'x'), [3])], [2, 2, 2]);
  });
});
