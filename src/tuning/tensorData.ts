// Tensors of the engine as files hold them, and back.
import type { TensorData } from '../checkpoint/index.js';
import { toFloat32 } from '../checkpoint/index.js';
import { type Tensor, tf } from '../engine/index.js';

/** A copy of a tensor's values. */
export const tensorDataOf = (tensor: Tensor): TensorData => ({
  dtype: 'float32',
  shape: [...tensor.shape],
  data: Float32Array.from(tensor.dataSync()),
});

/** A float32 tensor of a file's values. The caller disposes of it. */
export const tensorOf = (data: TensorData): Tensor => tf.tensor(toFloat32(data), data.shape, 'float32');
