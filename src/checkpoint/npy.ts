// One array in NumPy's .npy format (numpy/lib/format.py, versions 1 to 3).
import { CheckpointError } from '../errors.js';
import { type Dtype, elementBytes, elementCount, fromBytes, type TensorData } from './tensorData.js';
import { transpose } from './tensorOps.js';

/** Little-endian and byte-sized types; `V2` is how JAX's bfloat16 comes out of numpy.save. */
const dtypes: Record<string, Dtype> = {
  '<f8': 'float64',
  '<f4': 'float32',
  '<f2': 'float16',
  '|V2': 'bfloat16',
  '<V2': 'bfloat16',
  '<i8': 'int64',
  '<i4': 'int32',
  '<i2': 'int16',
  '|i1': 'int8',
  '<u8': 'uint64',
  '<u4': 'uint32',
  '<u2': 'uint16',
  '|u1': 'uint8',
  '|b1': 'bool',
};

/** Type, shape and memory order of an array, and where its elements begin. */
export interface NpyHeader {
  dtype: Dtype;
  shape: number[];
  fortran: boolean;
  dataStart: number;
}

/** Reads the header at the start of `bytes`. Throws CheckpointError. */
export function parseNpyHeader(bytes: Buffer): NpyHeader {
  if (bytes.length < 12 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY') {
    throw new CheckpointError('it does not begin like a NumPy array.');
  }
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw new CheckpointError(`its NumPy format version is ${version}; 1 to 3 are read.`);
  const [start, length] = version === 1 ? [10, bytes.readUInt16LE(8)] : [12, bytes.readUInt32LE(8)];
  if (length > bytes.length - start) throw new CheckpointError(`its NumPy header claims ${length} bytes.`);
  const text = bytes.toString('latin1', start, start + length);
  const match =
    /^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? *\}\s*$/.exec(text) ?? undefined;
  if (!match) throw new CheckpointError(`its NumPy header is ${JSON.stringify(text.slice(0, 120))}.`);
  const dtype = Object.hasOwn(dtypes, match[1]!) ? dtypes[match[1]!] : undefined;
  if (!dtype) throw new CheckpointError(`its NumPy type is ${match[1]}; known are ${Object.keys(dtypes).join(', ')}.`);
  const shape = match[3]!
    .split(',')
    .map((side) => side.trim())
    .filter((side) => side !== '')
    .map(Number);
  return { dtype, shape, fortran: match[2] === 'True', dataStart: start + length };
}

/** Reads a whole .npy file. Throws CheckpointError when its length does not fit its header. */
export function parseNpy(bytes: Buffer): TensorData {
  const { dtype, shape, fortran, dataStart } = parseNpyHeader(bytes);
  const count = elementCount(shape);
  if (count === undefined || count * elementBytes(dtype) !== bytes.length - dataStart) {
    throw new CheckpointError(`it holds ${bytes.length - dataStart} bytes for a ${dtype} array of shape [${shape}].`);
  }
  const data = bytes.subarray(dataStart);
  if (!fortran || shape.length < 2) return fromBytes(dtype, shape, data);
  const reversed = fromBytes(dtype, [...shape].reverse(), data);
  return transpose(
    reversed,
    shape.map((_, axis) => shape.length - 1 - axis),
  );
}
