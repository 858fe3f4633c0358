// The part of NumPy's pickles that CIFAR uses: uint8 matrices. Three names may be resolved and nothing else.
import { DataError } from '../../errors.js';
import { GlobalRef, PickleError, type PickleHandler, Tuple, unpickle, wordFor } from '../../pickle/index.js';

/** A matrix of bytes; `fortran` says that it is stored column by column. */
export class ByteMatrix {
  rows = 0;
  columns = 0;
  fortran = false;
  data: Uint8Array = new Uint8Array(0);
}

class ByteType {}

function refuse(what: string): never {
  throw new PickleError(`The pickle holds a NumPy array that is no matrix of bytes: ${what}.`);
}

const text = (value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value);

const reconstruct: PickleHandler = {
  call(args) {
    if (!(args[0] instanceof GlobalRef) || args[0].name !== 'numpy.ndarray') refuse('it is of another class');
    return new ByteMatrix();
  },
  build(instance, state) {
    if (!(instance instanceof ByteMatrix && state instanceof Tuple && state.length === 5))
      refuse('its state is malformed');
    const [, shape, dtype, fortran, data] = state;
    if (!(dtype instanceof ByteType)) refuse('its elements are no bytes');
    if (!(shape instanceof Tuple && shape.length === 2)) refuse('it has not two axes');
    const [rows, columns] = shape as [unknown, unknown];
    const whole = (value: unknown): value is number =>
      typeof value === 'number' && Number.isInteger(value) && value >= 0;
    if (!whole(rows) || !whole(columns)) refuse('its shape is malformed');
    if (!(data instanceof Uint8Array) || data.length !== rows * columns) refuse('its data do not fill its shape');
    Object.assign(instance, { rows, columns, fortran: Boolean(fortran), data });
  },
};

const dtype: PickleHandler = {
  call(args) {
    if (text(args[0]) !== 'u1') refuse(`its elements are ${JSON.stringify(wordFor(text(args[0])))}, not u1`);
    return new ByteType();
  },
  build() {}, // byte order and alignment say nothing about bytes
};

/**
 * The dictionary in a CIFAR pickle, as Python 2 or 3 wrote it; strings that are values are bytes.
 *
 * @throws DataError naming the file, and the Python object if the pickle asks for one that is not allowed.
 */
export function readNumpyPickle(bytes: Uint8Array, name: string): Map<unknown, unknown> {
  let value: unknown;
  try {
    value = unpickle(bytes, {
      globals: { 'numpy.core.multiarray._reconstruct': reconstruct, 'numpy.ndarray': {}, 'numpy.dtype': dtype },
      byteStrings: 'bytes',
    });
  } catch (cause) {
    if (!(cause instanceof PickleError)) throw cause;
    throw new DataError(`${name}: ${cause.message}`, { cause });
  }
  if (!(value instanceof Map)) throw new DataError(`${name} holds no dictionary.`);
  return value;
}

/** A list of strings out of such a dictionary. */
export function stringList(dictionary: Map<unknown, unknown>, key: string, name: string): string[] {
  const list = dictionary.get(key);
  if (Array.isArray(list) && list.every((item) => typeof text(item) === 'string'))
    return list.map((item) => text(item) as string);
  throw new DataError(`${name} lacks ${key}, a list of strings.`);
}
