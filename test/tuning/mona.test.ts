// Mona: one convolution in place of three, and the class token's way.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { ShapeError } from '../../src/errors.js';
import type { Module } from '../../src/nn/index.js';
import { Mona, MonaOp, tune } from '../../src/tuning/index.js';
import { batch, MODELS } from './models.js';

before(() => startEngine());

const random = (shape: number[], seed = 1): Tensor => tf.randomNormal(shape, 0, 1, 'float32', seed);

function assertNear(got: Tensor, expected: Tensor, tolerance = 1e-5): void {
  assert.deepEqual(got.shape, expected.shape);
  assert.ok(tf.max(tf.abs(tf.sub(got, expected))).dataSync()[0]! < tolerance);
}

/** Gives every parameter random values, so that nothing is hidden by a start of 0. */
function shake(model: Module): void {
  for (const [i, [, parameter]] of [...model.namedParameters()].entries()) {
    parameter.set(tf.mul(random([...parameter.shape], i + 1), 0.3));
  }
}

describe('MonaOp', () => {
  it('is the mean of its three convolutions and the identity, then the projection', () => {
    const op = new MonaOp(6);
    shake(op);
    const x = random([2, 5, 4, 6]);
    const [a, b, c] = [op.conv1, op.conv2, op.conv3].map((conv) => conv.forward(x));
    const mixed = tf.add(tf.div(tf.addN([a!, b!, c!]), 3), x);
    assertNear(op.forward(x), tf.add(mixed, op.projector.forward(mixed)));
  });

  it('shows its one kernel: the mean of the three with a 1 in the centre', () => {
    const op = new MonaOp(2);
    shake(op);
    const at = (layer: { weight: { value: Tensor } }, row: number, column: number): number =>
      (layer.weight.value.arraySync() as number[][][][])[1]![0]![row]![column]!;
    const kernel = (op.kernel().arraySync() as number[][][][])[1]![0]!;
    assert.deepEqual(op.kernel().shape, [2, 1, 7, 7]);
    const near = (got: number, expected: number) => assert.ok(Math.abs(got - expected) < 1e-6);
    near(kernel[3]![3]!, 1 + (at(op.conv1, 1, 1) + at(op.conv2, 2, 2) + at(op.conv3, 3, 3)) / 3);
    near(kernel[1]![3]!, (at(op.conv2, 0, 2) + at(op.conv3, 1, 3)) / 3);
    near(kernel[0]![6]!, at(op.conv3, 0, 6) / 3);
  });
});

describe('Mona', () => {
  const layout = { prefix: 1, grid: [3, 2] } as const;

  it('gives the tokens of a sequence what it gives the places of a map', () => {
    const options = { inner: 8 };
    const [map, sequence] = [new Mona(5, options), new Mona(5, { ...options, layout: () => layout })];
    shake(map);
    sequence.loadStateDict(map.stateDict());
    const x = random([2, 7, 5]);
    const places = tf.reshape(tf.slice(x, [0, 1, 0]), [2, 3, 2, 5]);
    const tokens = tf.slice(sequence.forward(x), [0, 1, 0]);
    assertNear(tf.reshape(tokens, places.shape), map.forward(places));
  });

  it('takes the tokens before the map past the convolutions', () => {
    const mona = new Mona(5, { inner: 8, layout: () => layout });
    shake(mona);
    const x = random([2, 7, 5]);
    const other = tf.concat([tf.slice(x, [0, 0, 0], [2, 1, 5]), random([2, 6, 5], 9)], 1);
    const first = (y: Tensor): Tensor => tf.slice(y, [0, 0, 0], [2, 1, 5]);
    assertNear(first(mona.forward(x)), first(mona.forward(other)));
    const same = tf.concat([random([2, 1, 5], 9), tf.slice(x, [0, 1, 0])], 1);
    assertNear(tf.slice(mona.forward(x), [0, 1, 0]), tf.slice(mona.forward(same), [0, 1, 0]));
  });

  it('refuses tokens that are not those of its map', () => {
    const inside = { inner: 8 };
    const sequence = new Mona(5, { ...inside, layout: () => layout }).initialize(1);
    assert.throws(() => sequence.forward(random([2, 6, 5])), /1 token and a map of 3 × 2: \[B, 7, C\], got \[2,6,8\]/);
    assert.throws(() => new Mona(5, inside).initialize(1).forward(random([2, 7, 5])), ShapeError);
  });

  it('has two adapters of their own in every block', () => {
    for (const [name, prefix] of [
      ['vit', 'blocks.2'],
      ['swin', 'layers.1.blocks.0'],
    ] as const) {
      const model = MODELS[name]!();
      tune(model, 'mona', { inner: 16 }, { seed: 1 });
      const state = model.stateDict();
      assert.deepEqual(state[`${prefix}.my_module_1.adapter_conv.conv3.weight`]!.shape, [16, 1, 7, 7]);
      assert.deepEqual(state[`${prefix}.my_module_2.project2.weight`]!.shape[1], 16);
      assert.ok(`${prefix}.attn.qkv.weight` in state);
      model.dispose();
    }
  });

  it('follows prompts that were put before the patches', () => {
    const model = MODELS['vit']!().initialize(1);
    tune(model, 'mona', { inner: 8 }, { seed: 1 });
    tune(model, 'vpt', { numTokens: 2 }, { seed: 1 });
    assert.deepEqual(model.forward(batch().images).shape, [3, 5]);
    model.dispose();
  });
});
