// The few operations that changing a tensor's layout needs.
import { CheckpointError } from '../errors.js';
import { elementCount, type TensorArray, type TensorData, zeros } from './tensorData.js';

/**
 * The elements that a view with these strides (in elements) reads from `data`, in row-major order of `shape`. The
 * caller has seen to it that all of them are inside.
 */
export function gather(
  data: TensorArray,
  dtype: TensorData['dtype'],
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): TensorData {
  const out = zeros([...shape], dtype);
  const index = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < out.data.length; i++) {
    out.data[i] = data[from]!;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** The tensor with its axes in another order: axis i of the result is axis `order[i]` of `tensor`. */
export function transpose({ dtype, shape, data }: TensorData, order: readonly number[]): TensorData {
  const strides = order.map((axis) => elementCount(shape.slice(axis + 1))!);
  return gather(
    data,
    dtype,
    order.map((axis) => shape[axis]!),
    strides,
  );
}

/** The same elements in another shape, of which one side may be -1: what is left. */
export function reshape(tensor: TensorData, shape: readonly number[]): TensorData {
  const known = shape.filter((side) => side >= 0).reduce((a, b) => a * b, 1);
  const full = shape.map((side) => (side < 0 ? tensor.data.length / known : side));
  if (!full.every(Number.isInteger) || elementCount(full) !== tensor.data.length) {
    throw new CheckpointError(`A tensor of shape [${tensor.shape}] does not have the shape [${shape}].`);
  }
  return { ...tensor, shape: full };
}

/** Tensors one behind the other along the first axis. Throws CheckpointError when types or other sides differ. */
export function stack(tensors: readonly TensorData[]): TensorData {
  const { dtype, shape } = tensors[0]!;
  const inner = shape.slice(1);
  for (const other of tensors) {
    if (other.dtype !== dtype || other.shape.length !== shape.length || other.shape.slice(1).join() !== inner.join()) {
      throw new CheckpointError(`Cannot join ${other.dtype} [${other.shape}] with ${dtype} [${shape}].`);
    }
  }
  const rows = tensors.reduce((sum, tensor) => sum + tensor.shape[0]!, 0);
  const out = zeros([rows, ...inner], dtype);
  let at = 0;
  for (const { data } of tensors) {
    // The types are equal; TypeScript only sees a union of arrays.
    (out.data as Float32Array).set(data as Float32Array, at);
    at += data.length;
  }
  return out;
}
