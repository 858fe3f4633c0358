import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  dtypes,
  float32,
  readSafetensors,
  SafetensorsFile,
  type TensorData,
  tensorRecord,
  toBytes,
  toFloat64,
  writeSafetensors,
  zeros,
} from '../../src/checkpoint/index.js';
import { CheckpointError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';
import { tempDir } from '../support/tempDir.js';

const temp = tempDir();

/** A file with the given header and data. */
function write(name: string, header: unknown, data: Uint8Array = new Uint8Array()): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  fs.writeFileSync(temp(name), Buffer.concat([length, json, data]));
  return temp(name);
}

const refused = (file: string, message: RegExp) =>
  assert.throws(
    () => readSafetensors(file),
    (error: unknown) => error instanceof CheckpointError && message.test(error.message) && error.message.includes(file),
  );

function randomTensor(rng: Rng): TensorData {
  const shape = Array.from({ length: rng.integer(5) }, () => rng.integer(5));
  const tensor = zeros(shape, dtypes[rng.integer(dtypes.length)]!);
  const bytes = toBytes(tensor);
  for (let i = 0; i < bytes.length; i++) bytes[i] = tensor.dtype === 'bool' ? rng.integer(2) : rng.integer(256);
  return tensor;
}

describe('writing and reading safetensors', () => {
  it('gives back random tensors of every type and shape, bit for bit', () => {
    for (let round = 0; round < 60; round++) {
      const rng = new Rng(7, 'safetensors', round);
      const names = Array.from({ length: rng.integer(9) }, (_, i) => `${['a', 'é.', '__proto__', '"\n'][i % 4]}${i}`);
      const tensors = tensorRecord(names.map((name) => [name, randomTensor(rng)]));
      writeSafetensors(temp('random.safetensors'), tensors, round % 2 ? { round: String(round) } : {});
      const got = readSafetensors(temp('random.safetensors'));
      assert.deepEqual(Object.keys(got).sort(), [...names].sort());
      for (const name of names) {
        assert.deepEqual([got[name]!.dtype, got[name]!.shape], [tensors[name]!.dtype, tensors[name]!.shape]);
        assert.deepEqual(Buffer.from(toBytes(got[name]!)), Buffer.from(toBytes(tensors[name]!)));
      }
    }
  });

  it('keeps metadata, and aligns every tensor', () => {
    const file = temp('aligned.safetensors');
    writeSafetensors(file, { a: zeros([3], 'uint8'), b: zeros([3], 'float64'), c: zeros([1], 'int16') }, { k: 'v' });
    const open = SafetensorsFile.open(file);
    assert.deepEqual({ ...open.metadata }, { k: 'v' });
    assert.equal(fs.readFileSync(file).readBigUInt64LE() % 8n, 0n);
    for (const name of open.names) {
      const { data } = open.read(name);
      assert.equal(open.info(name).offsets[0] % data.BYTES_PER_ELEMENT, 0, name);
    }
    open.close();
  });

  it('reads one tensor without the others: the rest of the file may be unreadable', () => {
    const file = temp('lazy.safetensors');
    writeSafetensors(file, { a: float32([1, 2]), b: float32([3]) });
    const open = SafetensorsFile.open(file);
    fs.truncateSync(file, fs.statSync(file).size - 4);
    assert.deepEqual(open.names, ['a', 'b']);
    assert.deepEqual(Array.from(toFloat64(open.read('a'))), [1, 2]);
    assert.throws(() => open.read('b'), CheckpointError);
    assert.throws(() => open.read('c'), /holds no tensor "c"/);
    open.close();
  });

  it('replaces a file whole and leaves nothing beside it', () => {
    const folder = temp('replace');
    const file = path.join(folder, 'x.safetensors');
    writeSafetensors(file, { a: float32([1]) });
    writeSafetensors(file, { a: float32([2]) });
    assert.deepEqual(fs.readdirSync(folder), ['x.safetensors']);
    assert.equal(readSafetensors(file)['a']!.data[0], 2);
  });

  it('keeps the old file when the new one cannot be written', () => {
    const file = temp('kept.safetensors');
    writeSafetensors(file, { a: float32([1]) });
    const wrong = { dtype: 'float32', shape: [2], data: Float32Array.of(1) } as const;
    assert.throws(() => writeSafetensors(file, { a: { ...wrong, shape: [2] } }), CheckpointError);
    assert.throws(() => writeSafetensors(file, { __metadata__: float32([1]) }), CheckpointError);
    assert.equal(readSafetensors(file)['a']!.data[0], 1);
    fs.mkdirSync(temp('taken.safetensors'));
    assert.throws(() => writeSafetensors(temp('taken.safetensors'), { a: float32([1]) }));
    assert.deepEqual(
      fs.readdirSync(temp('.')).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });
});

describe('unsound safetensors files are refused by name', () => {
  const info = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
  const four = new Uint8Array(4);

  it('names a file that is not there', () => refused(temp('nowhere'), /Cannot open/));

  it('refuses a name given twice, also when it is spelled with an escape', () => {
    const json = JSON.stringify(info);
    refused(write('twice', `{"x":${json},"\\u0078":${json}}`, four), /twice/);
    refused(
      write('twice-inside', `{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four),
      /twice/,
    );
  });

  it('refuses numbers that are not plain whole ones', () => {
    for (const number of ['4.0', '4e0', '-0', '1e400']) {
      refused(
        write('number', `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,${number}]}}`, four),
        /not a whole one/,
      );
    }
    refused(
      write('unsafe', `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,9007199254740993]}}`, four),
      /data_offs/,
    );
  });

  it('refuses overlaps, holes and what lies behind the last tensor', () => {
    const at = (begin: number) => ({ dtype: 'F32', shape: [1], data_offsets: [begin, begin + 4] });
    refused(write('overlap', { a: at(0), b: at(2) }, new Uint8Array(6)), /overlaps/);
    refused(write('hole', { a: at(0), b: at(6) }, new Uint8Array(10)), /hole/);
    refused(write('behind', { a: at(0) }, new Uint8Array(5)), /take 4 bytes, but it holds 5/);
  });

  it('takes nothing from a claimed length', () => {
    const huge = { dtype: 'F32', shape: [2 ** 45], data_offsets: [0, 2 ** 47] };
    refused(write('huge', { x: huge }, four), /take 140737488355328 bytes, but it holds 4/);
    const file = temp('header');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(99_999_999n);
    fs.writeFileSync(file, length);
    refused(file, /claims 99999999 bytes, but only 0 follow/);
  });

  it('refuses a header nested past reason without running out of stack', () => {
    refused(write('deep', `{"x":${'['.repeat(2_000_000)}`), /not JSON|sound/);
  });
});
