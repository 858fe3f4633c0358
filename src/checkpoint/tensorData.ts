// A tensor as files hold it: element type, shape and one typed array. No engine; dtype names are PyTorch's.
import { CheckpointError } from '../errors.js';

/** The typed arrays by element type; `float16` and `bfloat16` are kept as their raw 16 bits, `bool` as 0 or 1. */
const arrayTypes = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/**
 * What numbers a tensor holds.
 * @useDeclaredType
 */
export type Dtype = keyof typeof arrayTypes;

export type TensorArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array;

/** A tensor outside any engine. `data` has the product of `shape` elements in row-major order. */
export interface TensorData {
  dtype: Dtype;
  shape: number[];
  data: TensorArray;
}

/** Tensors by name; made by `tensorRecord`, so that a name such as `__proto__` is a name like any other. */
export type TensorRecord = Record<string, TensorData>;

export const dtypes = Object.keys(arrayTypes) as Dtype[];

/** Bytes of one element. */
export function elementBytes(dtype: Dtype): number {
  return arrayTypes[dtype].BYTES_PER_ELEMENT;
}

/** The number of elements of `shape`; `undefined` when it is past what a double counts exactly. */
export function elementCount(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const side of shape) {
    count *= side;
    if (count > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return count;
}

/** An empty record of tensors without a prototype. */
export function tensorRecord(entries: Iterable<[string, TensorData]> = []): TensorRecord {
  const record = Object.create(null) as TensorRecord;
  for (const [name, tensor] of entries) record[name] = tensor;
  return record;
}

/** A tensor of zeros. */
export function zeros(shape: number[], dtype: Dtype = 'float32'): TensorData {
  return { dtype, shape: [...shape], data: new arrayTypes[dtype](elementCount(shape) ?? Number.NaN) };
}

/** A float32 tensor of the given values. Throws CheckpointError when the count does not fit the shape. */
export function float32(values: ArrayLike<number>, shape: number[] = [values.length]): TensorData {
  if (elementCount(shape) !== values.length) {
    throw new CheckpointError(`${values.length} values do not fill a tensor of shape [${shape}].`);
  }
  return { dtype: 'float32', shape: [...shape], data: Float32Array.from(values) };
}

/**
 * Little-endian bytes as a tensor. The bytes are copied, so that the result is aligned and keeps no file buffer alive.
 * Throws CheckpointError when their number is not that of the shape.
 */
export function fromBytes(dtype: Dtype, shape: number[], bytes: Uint8Array): TensorData {
  const count = elementCount(shape);
  if (count === undefined || count * elementBytes(dtype) !== bytes.length) {
    throw new CheckpointError(`${bytes.length} bytes do not fill a ${dtype} tensor of shape [${shape}].`);
  }
  const buffer = new ArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return { dtype, shape: [...shape], data: new arrayTypes[dtype](buffer) };
}

/** The elements as little-endian bytes, without a copy. */
export function toBytes(tensor: TensorData): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The values as float32: rounded from float64 and 64-bit integers, widened from everything smaller. */
export function toFloat32(tensor: TensorData): Float32Array {
  return tensor.data instanceof Float32Array ? tensor.data : convert(tensor, (n) => new Float32Array(n));
}

/** The values as float64; exact for every type but 64-bit integers past 2^53. */
export function toFloat64(tensor: TensorData): Float64Array {
  return tensor.data instanceof Float64Array ? tensor.data : convert(tensor, (n) => new Float64Array(n));
}

function convert<A extends Float32Array | Float64Array>({ dtype, data }: TensorData, make: (count: number) => A): A {
  const out = make(data.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let i = 0; i < data.length; i++) out[i] = Number(data[i]);
  } else if (dtype === 'float16') {
    for (let i = 0; i < data.length; i++) out[i] = halfToNumber(data[i]!);
  } else if (dtype === 'bfloat16') {
    const widened = Uint32Array.from(data, (bits) => bits << 16);
    out.set(new Float32Array(widened.buffer));
  } else {
    out.set(data);
  }
  return out;
}

/** The value of the 16 bits of an IEEE 754 half. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
