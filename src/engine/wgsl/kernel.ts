// Kernels in WGSL, registered with tfjs under the names of the ops.
import { ShapeError } from '../../errors.js';
import { tf } from '../tf.js';

/** A kernel's work: all outputs, or the one with the number `only`. Inputs are in the op's order. */
export type Kernel<A extends object> = (
  inputs: readonly tf.TensorInfo[],
  attributes: Readonly<A>,
  only?: number,
) => tf.TensorInfo[];

/** Registers a kernel of float32 tensors. */
export function registerKernel<A extends object>(name: string, kernel: Kernel<A>): void {
  tf.registerKernel({
    kernelName: name,
    backendName: 'webgpu',
    kernelFunc: ({ inputs, attrs }) => {
      const { only, ...attributes } = attrs as unknown as A & { only?: number };
      const tensors = inputs as unknown as readonly tf.TensorInfo[];
      const other = tensors.find(({ dtype }) => dtype !== 'float32');
      if (other) throw new ShapeError(`${name} takes float32 tensors, got ${other.dtype} of shape [${other.shape}].`);
      return kernel(tensors, attributes as unknown as A, only);
    },
  });
}

/** @throws ShapeError where a tensor that an op takes has another shape than the others ask for */
export function checkShape(what: string, { shape }: tf.TensorInfo, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, axis) => size === expected[axis])) return;
  throw new ShapeError(`${what} must be [${expected}], got [${shape}].`);
}
