import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  dtypes,
  elementBytes,
  elementCount,
  float32,
  fromBytes,
  type TensorData,
  tensorRecord,
  toBytes,
  toFloat32,
  toFloat64,
  transpose,
  zeros,
} from '../../src/checkpoint/index.js';
import { reshape, stack } from '../../src/checkpoint/tensorOps.js';
import { CheckpointError } from '../../src/errors.js';

const bits16 = (dtype: 'float16' | 'bfloat16', ...bits: number[]) =>
  Array.from(toFloat32({ dtype, shape: [bits.length], data: Uint16Array.from(bits) }));

const list = (tensor: TensorData) => Array.from(toFloat64(tensor));

describe('tensor data', () => {
  it('widens halves, with subnormals, infinities, NaN and signed zero', () => {
    const values = bits16('float16', 0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000);
    assert.deepEqual(values, [1, -2, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504, Infinity, -Infinity, Number.NaN, -0]);
  });

  it('widens bfloat16', () => {
    assert.deepEqual(bits16('bfloat16', 0x3f80, 0xc040, 0x7f80, 0x7fc0, 0x8000), [1, -3, Infinity, Number.NaN, -0]);
  });

  it('turns every type into float64, 64-bit integers too', () => {
    for (const dtype of dtypes) {
      const tensor = zeros([3], dtype);
      const one = { float16: 0x3c00, bfloat16: 0x3f80 }[dtype as string] ?? 1;
      tensor.data[1] = typeof tensor.data[0] === 'bigint' ? 1n : one;
      assert.deepEqual(Array.from(toFloat64(tensor)), [0, 1, 0], dtype);
      assert.deepEqual(Array.from(toFloat32(tensor)), [0, 1, 0], dtype);
      assert.equal(toBytes(tensor).length, 3 * elementBytes(dtype));
    }
  });

  it('reads bytes at any alignment and keeps no view of them', () => {
    const buffer = Buffer.alloc(9);
    buffer.writeFloatLE(1.5, 1);
    buffer.writeFloatLE(-2, 5);
    const tensor = fromBytes('float32', [2], buffer.subarray(1));
    buffer.fill(0);
    assert.deepEqual(list(tensor), [1.5, -2]);
  });

  it('refuses bytes or values that do not fill the shape', () => {
    assert.throws(() => fromBytes('float32', [2], new Uint8Array(7)), CheckpointError);
    assert.throws(() => fromBytes('float32', [2 ** 40, 2 ** 40], new Uint8Array(8)), CheckpointError);
    assert.throws(() => float32([1, 2, 3], [2, 2]), CheckpointError);
  });

  it('counts elements, and says when a double cannot', () => {
    assert.equal(elementCount([]), 1);
    assert.equal(elementCount([2, 3, 4]), 24);
    assert.equal(elementCount([2 ** 40, 2 ** 40]), undefined);
    assert.equal(elementCount([2 ** 40, 2 ** 40, 0]), 0);
  });

  it('keeps every name an ordinary name', () => {
    const record = tensorRecord([['__proto__', float32([1])]]);
    assert.deepEqual(Object.keys(record), ['__proto__']);
    assert.equal(record['constructor'], undefined);
  });
});

describe('layout operations', () => {
  const tensor = float32([0, 1, 2, 3, 4, 5], [1, 2, 3]);

  it('transposes', () => {
    const turned = transpose(tensor, [2, 0, 1]);
    assert.deepEqual(
      [turned.shape, list(turned)],
      [
        [3, 1, 2],
        [0, 3, 1, 4, 2, 5],
      ],
    );
    assert.deepEqual(transpose(turned, [1, 2, 0]), tensor);
  });

  it('reshapes with one side left open, and refuses what does not fit', () => {
    assert.deepEqual(reshape(tensor, [3, -1]).shape, [3, 2]);
    assert.throws(() => reshape(tensor, [4, -1]), CheckpointError);
  });

  it('stacks along the first axis, and refuses other sides and types', () => {
    const joined = stack([float32([1, 2], [1, 2]), float32([3, 4, 5, 6], [2, 2])]);
    assert.deepEqual(
      [joined.shape, list(joined)],
      [
        [3, 2],
        [1, 2, 3, 4, 5, 6],
      ],
    );
    assert.throws(() => stack([float32([1, 2], [1, 2]), float32([1], [1, 1])]), CheckpointError);
    assert.throws(() => stack([zeros([1], 'float32'), zeros([1], 'int32')]), CheckpointError);
  });
});
