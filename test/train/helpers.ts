import assert from 'node:assert/strict';
import { type Tensor, tf } from '../../src/engine/index.js';
import { init, Parameter } from '../../src/nn/index.js';
import { Rng } from '../../src/random/index.js';

export const values = (tensor: Tensor): number[] => [...tensor.dataSync()];

/** `got` is within `tolerance` of `expected`, entry by entry. */
export function assertClose(got: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(got.length, expected.length);
  got.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) <= tolerance, `entry ${i} is ${value} instead of ${expected[i]}`);
  });
}

export const normals = (rng: Rng, size: number, std = 1): Float32Array =>
  Float32Array.from({ length: size }, () => rng.normal(0, std));

export const randomTensor = (seed: number, shape: number[], std = 1): Tensor =>
  tf.tensor(normals(new Rng(seed, 'test'), tf.util.sizeFromShape(shape), std), shape);

/** A parameter with the given values. */
export function parameterOf(shape: number[], entries: ArrayLike<number>): Parameter {
  const parameter = new Parameter(shape, init.zeros);
  parameter.set(tf.tensor(Float32Array.from(entries), shape));
  return parameter;
}

export const SHAPES: Readonly<Record<string, number[]>> = { weight: [3, 4], bias: [4], frozen: [2, 2] };

/** A weight, a bias and a frozen weight with random values. */
export function parameters(seed = 1): Map<string, Parameter> {
  const made = new Map(
    Object.entries(SHAPES).map(([name, shape], i) => [
      name,
      parameterOf(shape, normals(new Rng(seed, name, i), tf.util.sizeFromShape(shape))),
    ]),
  );
  made.get('frozen')!.trainable = false;
  return made;
}

/** Gradients of what is trainable in `parameters()`. */
export const gradients = (seed: number, std = 1): Map<string, Tensor> =>
  new Map(['weight', 'bias'].map((name, i) => [name, randomTensor(1000 * seed + i, SHAPES[name]!, std)]));
