import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  detectFormat,
  float32,
  inspectCheckpoint,
  loadCheckpoint,
  readNpz,
  writeSafetensors,
} from '../../src/checkpoint/index.js';
import { CheckpointError } from '../../src/errors.js';
import { tempDir } from '../support/tempDir.js';
import { makeZip } from '../support/zip.js';

const temp = tempDir();
const golden = (...parts: string[]) => path.join(__dirname, '..', 'fixtures', 'golden', 'checkpoints', ...parts);

/** A .npy file. */
function npy(header: string, data: Uint8Array): Buffer {
  const text = `${header}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(text), data]);
}

const head = (descr: string, shape: string, order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }`;
const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

function npz(name: string, ...arrays: Buffer[]): string {
  const parts = arrays.map((array, i) => ({ name: `a${i}.npy`, bytes: array, deflate: i % 2 === 1 }));
  fs.writeFileSync(temp(name), makeZip(parts));
  return temp(name);
}

describe('checkpoint files of any format', () => {
  it('tells the formats apart', async () => {
    for (const [file, format] of [
      [golden('pth-list-zip', 'file.pth'), 'torch'],
      [golden('pth-list-legacy', 'file.pth'), 'torch'],
      [golden('npz-same', 'file.npz'), 'npz'],
      [golden('safetensors-dtypes', 'file.safetensors'), 'safetensors'],
    ] as const) {
      assert.equal(await detectFormat(file), format);
    }
    await assert.rejects(detectFormat(temp('nowhere')), CheckpointError);
  });

  it('loads the state dict of each', async () => {
    const nested = await loadCheckpoint(golden('pth-nested-zip', 'file.pth'));
    assert.ok('module.base_encoder.cls_token' in nested && !('optimizer/state/0/mu' in nested));
    assert.ok('cls' in (await loadCheckpoint(golden('npz-deflate', 'file.npz'))));
    writeSafetensors(temp('x.safetensors'), { x: float32([1]) });
    assert.deepEqual(Object.keys(await loadCheckpoint(temp('x.safetensors'))), ['x']);
  });

  it('lists what each holds, with values that are not tensors', async () => {
    const torch = await inspectCheckpoint(golden('pth-nested-legacy', 'file.pth'));
    assert.deepEqual([torch.format, torch.naming, torch.tensors.length], ['torch', 'moco-v3', 10]);
    const values = new Map(torch.values);
    assert.deepEqual([values.get('epoch'), values.get('scaler'), values.get('l/1')], ['12', 'null', 'a']);
    const google = await inspectCheckpoint(golden('npz-deflate', 'file.npz'));
    assert.deepEqual([google.format, google.naming, google.elements], ['npz', 'npz', 10138]);
    const safetensors = await inspectCheckpoint(golden('safetensors-dtypes', 'file.safetensors'));
    assert.equal(safetensors.naming, undefined);
    assert.equal(new Map(safetensors.values).get('note'), 'all types');
    assert.deepEqual(
      safetensors.tensors.find(({ name }) => name === 'f16'),
      { name: 'f16', dtype: 'float16', shape: [5] },
    );
  });
});

describe('NumPy archives', () => {
  it('reads types, shapes, Fortran order and compressed parts', async () => {
    const file = npz(
      'good.npz',
      npy(head('<f4', '2, 3'), bytes(1, 2, 3, 4, 5, 6)),
      npy(head('<f4', '2, 3', 'True'), bytes(1, 4, 2, 5, 3, 6)),
      npy(head('|V2', '1,'), Uint8Array.of(0x80, 0x3f)),
      npy(head('<f4', ''), bytes(7)),
    );
    const arrays = await readNpz(file);
    assert.deepEqual(arrays['a0'], float32([1, 2, 3, 4, 5, 6], [2, 3]));
    assert.deepEqual(arrays['a1'], arrays['a0']);
    assert.deepEqual([arrays['a2']!.dtype, arrays['a2']!.shape, arrays['a2']!.data[0]], ['bfloat16', [1], 0x3f80]);
    assert.deepEqual(arrays['a3'], float32([7], []));
  });

  for (const [what, array, message] of [
    ['pickled objects', npy(head('|O', '1,'), bytes(1)), /its NumPy type is \|O/],
    ['big-endian numbers', npy(head('>f4', '1,'), bytes(1)), /its NumPy type is >f4/],
    ['too few elements', npy(head('<f4', '3,'), bytes(1)), /4 bytes for a float32 array of shape \[3\]/],
    ['a shape past counting', npy(head('<f4', '9999999999, 9999999999'), bytes(1)), /of shape/],
    ['a header that runs code', npy("__import__('os').system('true')", bytes(1)), /its NumPy header is/],
    ['a header past the end', npy(head('<f4', '1,'), bytes(1)).subarray(0, 40), /header claims/],
    ['something else', Buffer.from('hello, this is no array'), /does not begin like a NumPy array/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const file = npz('bad.npz', array);
      await assert.rejects(
        readNpz(file),
        (error: Error) => error instanceof CheckpointError && message.test(error.message),
      );
    });
  }
});
