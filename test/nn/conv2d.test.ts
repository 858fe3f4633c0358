// Convolutions: values by hand, and the composed form against the engine's own kernels, with gradients.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf, valueAndGradients } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { Conv2d, conv2d } from '../../src/nn/index.js';
import { Rng } from '../../src/random/index.js';

before(() => startEngine());

const random = (shape: number[], purpose: string): Tensor => {
  const rng = new Rng(3, purpose);
  return tf.tensor(
    Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => rng.normal(0, 1)),
    shape,
  );
};

/** The definition, entry by entry. */
function byDefinition(x: Tensor, weight: Tensor, stride: number[], padding: number[], groups: number): number[] {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [out, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const xs = x.dataSync();
  const ws = weight.dataSync();
  const found: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let top = -padding[0]!; top + kh <= height + padding[0]!; top += stride[0]!) {
      for (let left = -padding[1]!; left + kw <= width + padding[1]!; left += stride[1]!) {
        for (let o = 0; o < out; o++) {
          let sum = 0;
          const first = Math.floor(o / (out / groups)) * perGroup;
          for (let c = 0; c < perGroup; c++) {
            for (let i = 0; i < kh; i++) {
              for (let j = 0; j < kw; j++) {
                const [h, w] = [top + i, left + j];
                if (h < 0 || w < 0 || h >= height || w >= width) continue;
                sum +=
                  xs[((b * height + h) * width + w) * channels + first + c]! *
                  ws[((o * perGroup + c) * kh + i) * kw + j]!;
              }
            }
          }
          found.push(sum);
        }
      }
    }
  }
  return found;
}

const CASES = [
  { name: '3 × 3', x: [2, 5, 6, 3], weight: [4, 3, 3, 3], stride: [1, 1], padding: [1, 1], groups: 1 },
  { name: '3 × 3 with stride 2', x: [2, 7, 8, 3], weight: [4, 3, 3, 3], stride: [2, 2], padding: [1, 1], groups: 1 },
  {
    name: '2 × 3 with unequal strides and padding',
    x: [1, 7, 8, 2],
    weight: [3, 2, 2, 3],
    stride: [2, 3],
    padding: [0, 2],
    groups: 1,
  },
  { name: '1 × 1', x: [2, 3, 4, 3], weight: [5, 3, 1, 1], stride: [1, 1], padding: [0, 0], groups: 1 },
  { name: 'depthwise 5 × 5', x: [2, 6, 5, 4], weight: [4, 1, 5, 5], stride: [1, 1], padding: [2, 2], groups: 4 },
  {
    name: 'depthwise with multiplier and stride',
    x: [2, 6, 7, 2],
    weight: [6, 1, 3, 3],
    stride: [2, 2],
    padding: [1, 1],
    groups: 2,
  },
  {
    name: 'depthwise with unequal strides',
    x: [1, 6, 7, 2],
    weight: [2, 1, 3, 3],
    stride: [1, 2],
    padding: [1, 1],
    groups: 2,
  },
  { name: 'two groups', x: [1, 5, 5, 4], weight: [6, 2, 3, 3], stride: [1, 1], padding: [1, 1], groups: 2 },
].map((entry) => ({ ...entry, stride: entry.stride as [number, number], padding: entry.padding as [number, number] }));

const near = (got: ArrayLike<number>, expected: ArrayLike<number>, name: string): void => {
  assert.equal(got.length, expected.length, name);
  for (let i = 0; i < got.length; i++) {
    assert.ok(Math.abs(got[i]! - expected[i]!) < 1e-4, `${name}[${i}]: ${got[i]} instead of ${expected[i]}`);
  }
};

describe('conv2d', () => {
  for (const { name, stride, padding, groups, ...shapes } of CASES) {
    it(`follows the definition: ${name}`, () => {
      const x = random(shapes.x, 'x');
      const weight = random(shapes.weight, 'weight');
      const bias = random([shapes.weight[0]!], 'bias');
      const y = conv2d(x, weight, { stride, padding, groups }, bias);
      const expected = byDefinition(x, weight, stride, padding, groups);
      const biases = bias.dataSync();
      near(
        y.dataSync(),
        expected.map((value, i) => value + biases[i % biases.length]!),
        name,
      );
    });

    it(`has the gradients of the definition: ${name}`, () => {
      const x = random(shapes.x, 'x');
      const weight = random(shapes.weight, 'weight');
      const convolve = (image: Tensor, kernel: Tensor): Tensor => conv2d(image, kernel, { stride, padding, groups });
      const dy = random(convolve(x, weight).shape, 'dy');
      const dys = dy.dataSync();
      const loss = (image: Tensor, kernel: Tensor): number =>
        byDefinition(image, kernel, stride, padding, groups).reduce((sum, value, i) => sum + value * dys[i]!, 0);
      const { gradients } = valueAndGradients(() => tf.sum(tf.mul(convolve(x, weight), dy)), [x, weight]);
      // The loss is linear in each of both, so a difference over a whole step is its slope.
      for (const [position, input] of [x, weight].entries()) {
        const got = gradients[position]!.dataSync();
        const base = loss(x, weight);
        for (let i = 0; i < input.size; i += 7) {
          const moved = input.dataSync().slice();
          moved[i]! += 1;
          const other = tf.tensor(moved, input.shape);
          const slope = (position === 0 ? loss(other, weight) : loss(x, other)) - base;
          assert.ok(Math.abs(got[i]! - slope) < 1e-3, `gradient ${position}[${i}]: ${got[i]} instead of ${slope}`);
        }
      }
    });
  }

  it('refuses channels, groups and kernels that do not fit', () => {
    const geometry = { stride: [1, 1], padding: [0, 0], groups: 1 } as const;
    assert.throws(() => conv2d(tf.zeros([1, 4, 4, 3]), tf.zeros([2, 4, 3, 3]), geometry), ShapeError);
    assert.throws(
      () => conv2d(tf.zeros([1, 2, 4, 3]), tf.zeros([2, 3, 3, 3]), geometry),
      /larger than the padded image/,
    );
    assert.throws(() => new Conv2d(3, 4, 3, { groups: 2 }), UsageError);
  });
});

describe('Conv2d', () => {
  it('has weight and bias in the order and shapes of PyTorch', () => {
    const layer = new Conv2d(4, 8, [3, 5], { groups: 2, padding: [1, 2] }).initialize(0);
    const shapes = Object.entries(layer.stateDict()).map(([name, value]) => [name, value.shape]);
    assert.deepEqual(shapes, [
      ['weight', [8, 2, 3, 5]],
      ['bias', [8]],
    ]);
    assert.deepEqual(layer.forward(tf.zeros([1, 6, 7, 4])).shape, [1, 6, 7, 8]);
    const bound = 1 / Math.sqrt(2 * 3 * 5);
    const weights = layer.weight.value.dataSync();
    assert.ok(weights.every((value) => Math.abs(value) <= bound));
    assert.ok(weights.some((value) => Math.abs(value) > 0.9 * bound));
  });

  it('leaves the bias out where asked', () => {
    assert.deepEqual(
      [...new Conv2d(1, 1, 3, { bias: false }).namedParameters()].map(([name]) => name),
      ['weight'],
    );
  });
});
