import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import zlib from 'node:zlib';
import { findStateDict, loadTorch, type TensorData, toFloat64, zeros } from '../../src/checkpoint/index.js';
import { leaves } from '../../src/checkpoint/torchState.js';
import { CheckpointError } from '../../src/errors.js';
import { tempDir } from '../support/tempDir.js';
import { floats, p, pickled, tensor, torchFile } from '../support/torchFile.js';
import { makeZip, type ZipPart } from '../support/zip.js';

const temp = tempDir();

const list = (tensor: TensorData) => Array.from(toFloat64(tensor));

async function load(bytes: Uint8Array, options = {}): Promise<unknown> {
  fs.writeFileSync(temp('file.pth'), bytes);
  return loadTorch(temp('file.pth'), options);
}

const refused = (bytes: Uint8Array, message: RegExp) =>
  assert.rejects(load(bytes), (error: unknown) => error instanceof CheckpointError && message.test(error.message));

/** A file with one tensor on one zip part. */
const torchFileWith = (part: ZipPart, count: number): Buffer =>
  makeZip([{ name: 'archive/data.pkl', bytes: pickled(vector(count)) }, part]);

const vector = (count: number, extra = {}) => tensor({ key: '0', count, shape: [count], strides: [1], ...extra });

describe('PyTorch files', () => {
  it('reads a state dict with the attributes that PyTorch hangs on it', async () => {
    const dictionary = p.call(p.global('collections', 'OrderedDict'), p.list(p.list(p.text('w'), vector(2))));
    const state = p.dict([[p.text('_metadata'), p.call(p.global('collections', 'OrderedDict'))]]);
    const value = (await load(torchFile(p.build(dictionary, state), { 0: floats(1, 2) }))) as Map<string, TensorData>;
    assert.deepEqual([...value.keys()], ['w']);
    assert.deepEqual(list(value.get('w')!), [1, 2]);
  });

  it('lets tensors of one storage share memory, and copies strided views', async () => {
    const file = torchFile(
      p.dict([
        [p.text('whole'), tensor({ key: '0', count: 4, shape: [2, 2], strides: [2, 1] })],
        [p.text('tail'), tensor({ key: '0', count: 4, shape: [2], strides: [1], offset: 2 })],
        [p.text('turned'), tensor({ key: '0', count: 4, shape: [2, 2], strides: [1, 2] })],
      ]),
      { 0: floats(1, 2, 3, 4) },
    );
    const value = (await load(file)) as Map<string, TensorData>;
    const [whole, tail, turned] = ['whole', 'tail', 'turned'].map((name) => value.get(name)!);
    assert.equal(whole!.data.buffer, tail!.data.buffer);
    assert.deepEqual(list(tail!), [3, 4]);
    assert.deepEqual(list(turned!), [1, 3, 2, 4]);
    assert.notEqual(whole!.data.buffer, turned!.data.buffer);
  });

  it('reads the types that only untyped storages carry', async () => {
    const id = p.tuple(
      p.text('storage'),
      p.global('torch.storage', 'UntypedStorage'),
      p.text('0'),
      p.text('cpu'),
      p.int(8),
    );
    const v3 = p.call(
      p.global('torch._utils', '_rebuild_tensor_v3'),
      ...[p.persistent(id), p.int(1), p.tuple(p.int(3)), p.tuple(p.int(1)), p.bool(false)],
      ...[p.call(p.global('collections', 'OrderedDict')), p.global('torch', 'uint16')],
    );
    const got = (await load(torchFile(v3, { 0: new Uint8Array(Uint16Array.of(9, 1, 2, 65535).buffer) }))) as TensorData;
    assert.deepEqual(got, { dtype: 'uint16', shape: [3], data: Uint16Array.of(1, 2, 65535) });
  });

  it('unpacks compressed archives', async () => {
    const got = (await load(torchFile(vector(3), { 0: floats(1, 2, 3) }, true))) as TensorData;
    assert.deepEqual(list(got), [1, 2, 3]);
  });

  it('tells types and shapes without reading the storages', async () => {
    const got = (await load(torchFile(vector(3), { 0: floats(1, 2, 3) }), { headerOnly: true })) as TensorData;
    assert.deepEqual([got.dtype, got.shape, got.data.length], ['float32', [3], 0]);
  });
});

describe('hostile PyTorch files', () => {
  it('names a class or function that is asked for', async () => {
    await refused(torchFile(p.call(p.global('os', 'system'), p.text('true')), {}), /os\.system.*nothing was run/);
    await refused(torchFile(p.global('torch.nn.modules.linear', 'Linear'), {}), /torch\.nn\.modules\.linear\.Linear/);
  });

  it('refuses a small file that asks for a large tensor by strides of zero', async () => {
    const big = tensor({ key: '0', count: 1, shape: [2 ** 20, 2 ** 12], strides: [0, 0] });
    await refused(torchFile(big, { 0: floats(1) }), /strided views would take/);
    const many = Array.from({ length: 200 }, () => tensor({ key: '0', count: 1, shape: [2 ** 18], strides: [0] }));
    await refused(torchFile(p.list(...many), { 0: floats(1) }), /strided views would take/);
    const uncountable = tensor({ key: '0', count: 1, shape: [2 ** 40, 2 ** 40], strides: [0, 0] });
    await refused(torchFile(uncountable, { 0: floats(1) }), /views/);
  });

  it('refuses a storage described in two ways, of another size, or missing', async () => {
    const both = p.list(vector(2), tensor({ key: '0', count: 1, shape: [1], strides: [1], storage: 'DoubleStorage' }));
    await refused(torchFile(both, { 0: floats(1, 2) }), /in two ways/);
    await refused(torchFile(vector(3), { 0: floats(1, 2) }), /has 8 bytes, but the pickle says 12/);
    await refused(torchFile(vector(3), {}), /no part "archive\/data\/0"/);
    await refused(torchFile(vector(2 ** 50), { 0: floats(1) }), /the pickle says/);
  });

  it('refuses damaged storages, names twice, parts over each other, and bombs', async () => {
    const part = { name: 'archive/data.pkl', bytes: Buffer.from('\x80\x02N.', 'latin1') };
    await refused(makeZip([{ ...part, claim: { crc: 1 } }]), /checksum/);
    await refused(makeZip([part, part]), /two parts/);
    await refused(makeZip([part, { ...part, name: 'other/data.pkl' }]), /2 parts <folder>\/data\.pkl/);
    const zeros = { name: 'archive/data/0', bytes: new Uint8Array(2 ** 20), deflate: true };
    await refused(makeZip([part, { ...zeros, claim: { size: 2 ** 31 } }]), /claims 2147483648 bytes/);
    await refused(torchFileWith({ ...zeros, claim: { size: 2 ** 19 } }, 2 ** 17), /cannot be unpacked/);
    await refused(torchFileWith({ ...zeros, claim: { size: 2 ** 20 + 4 } }, 2 ** 18 + 1), /unpacks to/);
    const ghost = { bytes: new Uint8Array(4096), ghost: true, claim: { offset: 0 } };
    const ghosts = Array.from({ length: 99 }, (_, i) => ({ ...ghost, name: `archive/data/${i}` }));
    await refused(makeZip([part, ...ghosts]), /parts claim \d+ bytes of a file of/);
    const bomb = { ...zeros, packed: zlib.deflateRawSync(zeros.bytes), claim: { crc: 0 } };
    const bombs = Array.from({ length: 600 }, (_, i) => ({ ...bomb, name: `archive/data/${i}` }));
    await refused(makeZip([part, ...bombs]), /would unpack to/);
  });

  it('refuses a directory that points past the file, with 64-bit numbers too', async () => {
    const good = makeZip([{ name: 'archive/data.pkl', bytes: Buffer.from('\x80\x02N.', 'latin1') }]);
    const far = Buffer.from(good);
    far.writeUInt32LE(0x7fffffff, far.length - 6);
    await refused(far, /points to byte 2147483647/);
    const locator = Buffer.alloc(20);
    locator.write('PK\x06\x07', 'latin1');
    locator.writeBigUInt64LE(2n ** 63n, 8);
    const wide = Buffer.concat([good.subarray(0, -22), locator, good.subarray(-22)]);
    await refused(wide, /points to byte 9223372036854776000 of/);
    await refused(
      makeZip([{ name: 'archive/data.pkl', bytes: Buffer.from('N.'), claim: { offset: 5 } }]),
      /is not where/,
    );
  });

  it('lists containers that share or hold themselves in bounded time', async () => {
    // Thirty lists, each holding the one before twice: 2^30 leaves spelled out.
    let value = p.put(0, p.list(p.int(1)));
    for (let i = 1; i < 30; i++) value = p.put(i, p.list(value, p.get(i - 1)));
    const shared = await load(torchFile(value, {}));
    assert.throws(() => [...leaves(shared)], /more than 1000000 values/);
    const itself: unknown[] = [1];
    itself.push(itself);
    assert.deepEqual(
      [...leaves(itself)],
      [
        ['0', 1],
        ['1', '(more)'],
      ],
    );
  });

  it('never spells out what is shared in a name or a message', async () => {
    // Sixty lists, each holding the one before twice: spelled out, more text than there are atoms in a house.
    let value = p.put(0, p.list(p.int(1)));
    for (let i = 1; i < 60; i++) value = p.put(i, p.list(value, p.get(i - 1)));
    assert.equal(await load(torchFile(p.call(p.global('torch', 'device'), value), {})), '(Array)');
    const id = p.tuple(p.text('storage'), p.global('torch', 'FloatStorage'), p.text('0'), p.text('cpu'), p.int(1));
    const rebuild = p.global('torch._utils', '_rebuild_tensor_v2');
    const shaped = p.call(rebuild, p.persistent(id), p.int(0), p.tuple(value), p.tuple(p.int(1)));
    await refused(torchFile(shaped, { 0: floats(1) }), /offset, shape and strides 0, \[\(Array\)\], \[1\]/);
    const named = (await load(torchFile(p.dict([[value, p.int(1)]]), {}))) as Map<unknown, unknown>;
    assert.deepEqual([...leaves(named)], [['(Array)', 1]]);
  });

  it('refuses a small file that asks for the same large container again and again', async () => {
    const items = p.put(0, p.list(...Array.from({ length: 5000 }, (_, i) => p.int(i))));
    const sets = Array.from({ length: 1000 }, () => p.call(p.global('builtins', 'set'), p.get(0)));
    await refused(torchFile(p.list(items, ...sets), {}), /builds more than 2000000 values/);
    const text = p.put(0, p.text('x'.repeat(200_000)));
    const copies = Array.from({ length: 1000 }, () => p.call(p.global('_codecs', 'encode'), p.get(0)));
    await refused(torchFile(p.list(text, ...copies), {}), /builds more than 2000000 values/);
  });

  it('stops at a pickle nested past reason without running out of stack', async () => {
    const deep = Buffer.concat([Buffer.alloc(300_000, ']'), Buffer.alloc(299_999, 'a')]);
    const value = await load(torchFile(deep, {}));
    assert.ok([...leaves(value)].length <= 1);
  });
});

describe('finding the state dict', () => {
  const w = zeros([1]);

  it('looks at the top and under the usual keys', () => {
    assert.equal(findStateDict(new Map([['w', w]])).path, '');
    const nested = new Map([['model', new Map([['state_dict', new Map([['w', w]])]])]]);
    assert.deepEqual(findStateDict(nested).path, 'model/state_dict');
    assert.deepEqual(Object.keys(findStateDict(w).tensors), ['_']);
  });

  it('says what the file has instead', () => {
    assert.throws(() => findStateDict(new Map([['epoch', 3]])), /its keys are epoch/);
    assert.throws(() => findStateDict([1, 2]), /it is a list/);
  });
});
