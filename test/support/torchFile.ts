// Writes PyTorch files for tests: pickles of protocol 2 from small pieces, and the zip archive around them.
import { makeZip, type ZipPart } from './zip.js';

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Pieces of a pickle; each leaves one value on the stack. */
export const p = {
  text(value: string): Buffer {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([ascii('X'), length, bytes]);
  },
  int(value: number): Buffer {
    if (value >= -(2 ** 31) && value < 2 ** 31) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value);
      return Buffer.concat([ascii('J'), bytes]);
    }
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return Buffer.concat([ascii('\x8a\x08'), bytes]);
  },
  bool: (value: boolean): Buffer => ascii(value ? '\x88' : '\x89'),
  global: (module: string, name: string): Buffer => ascii(`c${module}\n${name}\n`),
  tuple: (...items: Buffer[]): Buffer => Buffer.concat([ascii('('), ...items, ascii('t')]),
  list: (...items: Buffer[]): Buffer => Buffer.concat([ascii('](')].concat(items, ascii('e'))),
  dict: (entries: ReadonlyArray<readonly [Buffer, Buffer]>): Buffer =>
    Buffer.concat([ascii('}('), ...entries.flat(), ascii('u')]),
  call: (callable: Buffer, ...args: Buffer[]): Buffer => Buffer.concat([callable, p.tuple(...args), ascii('R')]),
  build: (object: Buffer, state: Buffer): Buffer => Buffer.concat([object, state, ascii('b')]),
  put: (slot: number, value: Buffer): Buffer => Buffer.concat([value, Buffer.from([0x71, slot])]),
  get: (slot: number): Buffer => Buffer.from([0x68, slot]),
  persistent: (id: Buffer): Buffer => Buffer.concat([id, ascii('Q')]),
};

export interface TensorSpec {
  key: string;
  /** Elements of the storage. */
  count: number;
  shape: number[];
  strides: number[];
  offset?: number;
  /** Default FloatStorage. */
  storage?: string;
}

/** The pickle of a tensor on a storage. */
export function tensor({ key, count, shape, strides, offset = 0, storage = 'FloatStorage' }: TensorSpec): Buffer {
  const id = p.tuple(p.text('storage'), p.global('torch', storage), p.text(key), p.text('cpu'), p.int(count));
  return p.call(
    p.global('torch._utils', '_rebuild_tensor_v2'),
    p.persistent(id),
    p.int(offset),
    p.tuple(...shape.map(p.int)),
    p.tuple(...strides.map(p.int)),
    p.bool(false),
    p.call(p.global('collections', 'OrderedDict')),
  );
}

/** A whole pickle. */
export const pickled = (value: Buffer): Buffer => Buffer.concat([ascii('\x80\x02'), value, ascii('.')]);

/** A PyTorch file in the zip format. */
export function torchFile(value: Buffer, storages: Record<string, Uint8Array>, deflate = false): Buffer {
  const parts: ZipPart[] = [
    { name: 'archive/data.pkl', bytes: pickled(value), deflate },
    { name: 'archive/byteorder', bytes: ascii('little'), deflate },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, bytes, deflate })),
    { name: 'archive/version', bytes: ascii('3\n'), deflate },
  ];
  return makeZip(parts);
}

/** The bytes of float32 values. */
export const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
