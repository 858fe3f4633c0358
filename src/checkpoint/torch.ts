// Files of torch.save, in the zip format (since PyTorch 1.6) and the one before, read without Python and without
// running anything: torch/serialization.py and torch/_utils.py are the reference. Whole modules are refused.
import fs from 'node:fs';
import { CheckpointError } from '../errors.js';
import { readPickle, unpickle, wordFor } from '../pickle/index.js';
import { type Dtype, elementBytes, elementCount, fromBytes, type TensorData } from './tensorData.js';
import { gather } from './tensorOps.js';
import { type PendingTensor, type StorageRef, storageRef, torchGlobals } from './torchObjects.js';
import { ZipArchive } from './zip.js';

const maxPickleBytes = 2 ** 26;
const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyProtocol = 1001;
/** What copies of non-contiguous views may take: this much, or this many times the file. */
const maxCopied = { bytes: 2 ** 26, timesFile: 4 };

/** What a PyTorch file holds: dictionaries are Maps, lists and tuples arrays, tensors TensorData. */
export type TorchValue = unknown;

export interface TorchOptions {
  /** Leaves the tensors' data empty: types and shapes are there, the storages are not read. */
  headerOnly?: boolean;
}

/**
 * Reads a PyTorch file. Tensors that share a storage share memory, as in PyTorch; views that are not contiguous are
 * copied. Throws CheckpointError for anything but tensors and plain containers, and for damaged or hostile files.
 */
export async function loadTorch(path: string, options: TorchOptions = {}): Promise<TorchValue> {
  try {
    const fileSize = fs.statSync(path).size;
    return (await isZip(path)) ? await loadZip(path, fileSize, options) : loadLegacy(path, fileSize, options);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${path} cannot be read as a PyTorch file: ${message}`, { cause: error });
  }
}

async function isZip(path: string): Promise<boolean> {
  const start = Buffer.alloc(4);
  const file = await fs.promises.open(path);
  try {
    await file.read(start, 0, 4, 0);
  } finally {
    await file.close();
  }
  return start.toString('latin1') === 'PK\x03\x04';
}

async function loadZip(path: string, fileSize: number, { headerOnly }: TorchOptions): Promise<TorchValue> {
  const archive = await ZipArchive.open(path);
  try {
    const roots = archive.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
    if (roots.length !== 1) throw new CheckpointError(`it has ${roots.length} parts <folder>/data.pkl, expected one.`);
    const folder = roots[0]!.slice(0, -'data.pkl'.length);
    if (archive.has(`${folder}byteorder`)) {
      const order = archive.read(`${folder}byteorder`, 64).toString('latin1');
      if (order !== 'little') throw new CheckpointError(`its byte order is ${order}; only little is read.`);
    }
    const pending: PendingTensor[] = [];
    const storages = new Map<string, StorageRef>();
    const value = unpickle(archive.read(roots[0]!, maxPickleBytes), {
      globals: torchGlobals(pending),
      persistentLoad: (id) => {
        const storage = register(storages, storageRef(id));
        const size = archive.size(`${folder}data/${storage.key}`);
        if (size !== storage.bytes) {
          throw new CheckpointError(
            `its storage ${storage.key} has ${size} bytes, but the pickle says ${storage.bytes}.`,
          );
        }
        return storage;
      },
    });
    if (headerOnly) return value;
    const fill = filler(pending, fileSize);
    for (const storage of storages.values()) fill(storage, archive.read(`${folder}data/${storage.key}`));
    return value;
  } finally {
    archive.close();
  }
}

/** Magic number, protocol, machine, value, storage keys as pickles in a row; then each storage as length and bytes. */
function loadLegacy(path: string, fileSize: number, { headerOnly }: TorchOptions): TorchValue {
  const bytes = fs.readFileSync(path);
  const plain = { globals: {} };
  const magic = bytes[0] === 0x80 ? readPickle(bytes, 0, { globals: torchGlobals([]) }) : undefined;
  if (magic?.value !== legacyMagic) {
    throw new CheckpointError('it begins neither like a zip file nor with the magic number of older PyTorch files.');
  }
  const protocol = readPickle(bytes, magic.end, plain);
  if (protocol.value !== legacyProtocol)
    throw new CheckpointError(`its protocol is ${wordFor(protocol.value)}, not 1001.`);
  const machine = readPickle(bytes, protocol.end, plain);
  if (!(machine.value instanceof Map) || machine.value.get('little_endian') !== true) {
    throw new CheckpointError('it was not written on a little-endian machine.');
  }
  const pending: PendingTensor[] = [];
  const storages = new Map<string, StorageRef>();
  const { value, end } = readPickle(bytes, machine.end, {
    globals: torchGlobals(pending),
    persistentLoad: (id) => register(storages, storageRef(id)),
  });
  const keys = readPickle(bytes, end, plain);
  const fill = filler(pending, fileSize);
  let position = keys.end;
  for (const key of storageKeys(keys.value, storages)) {
    const storage = storages.get(key)!;
    const width = storage.dtype ? elementBytes(storage.dtype) : 1;
    const count = position + 8 <= bytes.length ? bytes.readBigInt64LE(position) : -1n;
    position += 8;
    if (count * BigInt(width) !== BigInt(storage.bytes) || position + storage.bytes > bytes.length) {
      throw new CheckpointError(`its storage ${key} is cut off or not of the ${storage.bytes} bytes the pickle says.`);
    }
    if (!headerOnly) fill(storage, bytes.subarray(position, position + storage.bytes));
    position += storage.bytes;
  }
  return value;
}

/** The keys in the order of the file; each storage must be there exactly once. */
function storageKeys(value: unknown, storages: ReadonlyMap<string, StorageRef>): string[] {
  const keys = Array.isArray(value) ? value.map(wordFor) : [];
  if (new Set(keys).size !== keys.length || keys.some((key) => !storages.has(key)) || keys.length !== storages.size) {
    throw new CheckpointError('the storages it lists are not those its tensors use.');
  }
  return keys;
}

function register(storages: Map<string, StorageRef>, storage: StorageRef): StorageRef {
  const known = storages.get(storage.key);
  if (!known) {
    storages.set(storage.key, storage);
    return storage;
  }
  if (known.dtype !== storage.dtype || known.bytes !== storage.bytes) {
    throw new CheckpointError(`it describes its storage ${storage.key} in two ways.`);
  }
  return known;
}

/** A function that gives a storage's bytes to all tensors on it, with a bound on what strided copies may take. */
function filler(pending: readonly PendingTensor[], fileSize: number): (storage: StorageRef, bytes: Uint8Array) => void {
  const byStorage = new Map<StorageRef, PendingTensor[]>();
  let copied = 0;
  for (const entry of pending) {
    const list = byStorage.get(entry.storage);
    if (list) list.push(entry);
    else byStorage.set(entry.storage, [entry]);
    if (!isContiguous(entry)) copied += elementCount(entry.tensor.shape)! * elementBytes(entry.tensor.dtype);
  }
  const limit = Math.max(maxCopied.bytes, maxCopied.timesFile * fileSize);
  if (copied > limit) {
    throw new CheckpointError(`its strided views would take ${copied} bytes, more than ${limit} for its size.`);
  }
  return (storage, bytes) => {
    const whole = new Map<Dtype, TensorData['data']>();
    for (const entry of byStorage.get(storage) ?? []) {
      const { dtype } = entry.tensor;
      const count = storage.bytes / elementBytes(dtype);
      const data = whole.get(dtype) ?? fromBytes(dtype, [count], bytes).data;
      whole.set(dtype, data);
      entry.tensor.data = view(entry, data);
    }
  };
}

function isContiguous({ tensor: { shape }, strides }: PendingTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

function view(entry: PendingTensor, data: TensorData['data']): TensorData['data'] {
  const { tensor, offset, strides } = entry;
  if (isContiguous(entry)) return data.subarray(offset, offset + elementCount(tensor.shape)!);
  return gather(data, tensor.dtype, tensor.shape, strides, offset).data;
}
