// The Python objects that a PyTorch file may name, and what stands for them here: tensors and plain containers.
// Tensors are described while the pickle is read and filled from their storages afterwards.
import { CheckpointError } from '../errors.js';
import { GlobalRef, type PickleHandler, Tuple, wordFor } from '../pickle/index.js';
import { type Dtype, elementBytes, elementCount, type TensorData, zeros } from './tensorData.js';

/** One storage of the file as the pickle refers to it. */
export interface StorageRef {
  key: string;
  /** Absent for an untyped storage, whose tensors bring their own. */
  dtype: Dtype | undefined;
  bytes: number;
}

/** A tensor that waits for its storage; offsets and strides count elements. */
export interface PendingTensor {
  tensor: TensorData;
  storage: StorageRef;
  offset: number;
  strides: number[];
}

const storageTypes: Record<string, Dtype> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
};

const untypedStorages = ['torch.storage.UntypedStorage', 'torch.UntypedStorage'];

const dtypeNames: Record<string, Dtype> = {
  'torch.float64': 'float64',
  'torch.double': 'float64',
  'torch.float32': 'float32',
  'torch.float': 'float32',
  'torch.float16': 'float16',
  'torch.half': 'float16',
  'torch.bfloat16': 'bfloat16',
  'torch.int64': 'int64',
  'torch.long': 'int64',
  'torch.int32': 'int32',
  'torch.int': 'int32',
  'torch.int16': 'int16',
  'torch.short': 'int16',
  'torch.int8': 'int8',
  'torch.uint64': 'uint64',
  'torch.uint32': 'uint32',
  'torch.uint16': 'uint16',
  'torch.uint8': 'uint8',
  'torch.bool': 'bool',
};

/**
 * The names a PyTorch pickle may use. Every tensor it builds is added to `pending`. Nothing else can be named: the
 * unpickler refuses other classes and functions before they are looked at.
 */
export function torchGlobals(pending: PendingTensor[]): Record<string, PickleHandler> {
  const add = (storage: unknown, offset: unknown, shape: unknown, strides: unknown, dtype?: Dtype) => {
    const tensor = describe(storage, offset, shape, strides, dtype);
    pending.push(tensor);
    return tensor.tensor;
  };
  const globals: Record<string, PickleHandler> = {
    'collections.OrderedDict': { call: (args) => dictionary(args), build: () => undefined },
    'collections.Counter': { call: (args) => dictionary(args) },
    'torch._utils._rebuild_tensor': {
      call: ([storage, offset, shape, strides]) => add(storage, offset, shape, strides),
    },
    'torch._utils._rebuild_tensor_v2': {
      call: ([storage, offset, shape, strides]) => add(storage, offset, shape, strides),
    },
    'torch._utils._rebuild_tensor_v3': {
      call: ([storage, offset, shape, strides, , , dtype]) => add(storage, offset, shape, strides, namedDtype(dtype)),
    },
    'torch._utils._rebuild_parameter': { call: ([tensor]) => tensor },
    'torch._utils._rebuild_parameter_with_state': { call: ([tensor]) => tensor },
    'torch.Size': { call: ([sides]) => Tuple.make(Array.isArray(sides) ? sides : []) },
    'torch.device': { call: ([type, index]) => wordFor(type) + (index === undefined ? '' : `:${wordFor(index)}`) },
    '_codecs.encode': { call: ([text]) => latin1Bytes(text) },
    'builtins.set': { call: ([items]) => new Set(Array.isArray(items) ? items : []) },
    '__builtin__.set': { call: ([items]) => new Set(Array.isArray(items) ? items : []) },
  };
  for (const name of Object.keys(storageTypes)) globals[`torch.${name}`] = {};
  for (const name of [...untypedStorages, ...Object.keys(dtypeNames)]) globals[name] = {};
  return globals;
}

/** The storage behind a persistent id `('storage', type, key, device, numel, …)`. Throws CheckpointError. */
export function storageRef(id: unknown): StorageRef {
  if (!(id instanceof Tuple) || id[0] !== 'storage') {
    throw new CheckpointError('it refers to an outside object that is not a storage.');
  }
  const [, type, rawKey, , count, view] = id;
  const key = typeof rawKey === 'number' ? String(rawKey) : rawKey;
  if (!(type instanceof GlobalRef) || typeof key !== 'string' || !isCount(count)) {
    throw new CheckpointError('it describes a storage that has no type, key or size.');
  }
  if (view !== undefined && view !== null) throw new CheckpointError(`its storage ${key} is a view of another one.`);
  if (untypedStorages.includes(type.name)) return { key, dtype: undefined, bytes: count };
  const dtype = storageTypes[type.name.replace(/^torch\./, '')];
  if (!dtype) throw new CheckpointError(`its storage ${key} is of the unknown type ${type.name}.`);
  return { key, dtype, bytes: count * elementBytes(dtype) };
}

function describe(
  storage: unknown,
  offset: unknown,
  shape: unknown,
  strides: unknown,
  ownDtype?: Dtype,
): PendingTensor {
  if (!isStorage(storage)) throw new CheckpointError('it builds a tensor on something that is not a storage.');
  const dtype = ownDtype ?? storage.dtype;
  if (!dtype) throw new CheckpointError(`its storage ${storage.key} is used without an element type.`);
  if (!isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length) {
    const text = [offset, shape, strides].map((value) =>
      Array.isArray(value) ? `[${value.slice(0, 8).map(wordFor)}]` : wordFor(value),
    );
    throw new CheckpointError(`it builds a tensor with the offset, shape and strides ${text.join(', ')}.`);
  }
  const count = storage.bytes / elementBytes(dtype);
  const last = shape.reduce((sum, side, axis) => sum + (side - 1) * strides[axis]!, offset);
  if (shape.includes(0) ? offset > count : !(last < count) || elementCount(shape) === undefined) {
    const view = `[${shape}] with strides [${strides}] from element ${offset}`;
    throw new CheckpointError(`it views ${view} of storage ${storage.key}, which has ${count} elements.`);
  }
  const tensor = { ...zeros([0], dtype), shape: [...shape] };
  return { tensor, storage, offset, strides: [...strides] };
}

function isStorage(value: unknown): value is StorageRef {
  return typeof value === 'object' && value !== null && 'key' in value && 'bytes' in value && 'dtype' in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}

function namedDtype(value: unknown): Dtype {
  const dtype = value instanceof GlobalRef ? dtypeNames[value.name] : undefined;
  if (!dtype) throw new CheckpointError('it builds a tensor of an unknown element type.');
  return dtype;
}

/** `OrderedDict()`, `OrderedDict([[key, value], …])` or `Counter({…})`. */
function dictionary([items]: Tuple): Map<unknown, unknown> {
  if (items === undefined) return new Map();
  if (items instanceof Map) return new Map(items);
  if (!Array.isArray(items) || !items.every((pair) => Array.isArray(pair) && pair.length === 2)) {
    throw new CheckpointError('it builds a dictionary from something that is not pairs.');
  }
  return new Map(items as Array<[unknown, unknown]>);
}

/** What `_codecs.encode(text, 'latin1')` gives: how Python 3 writes bytes for protocol 2. */
function latin1Bytes(text: unknown): Uint8Array {
  if (typeof text !== 'string') throw new CheckpointError('it encodes something that is not text.');
  return new Uint8Array(Buffer.from(text, 'latin1'));
}
