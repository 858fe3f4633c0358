// Parameters and buffers as files hold them, and back.
import { type TensorData, type TensorRecord, tensorRecord, toFloat32 } from '../checkpoint/index.js';
import { type Tensor, tf } from '../engine/index.js';
import type { Module } from './module.js';
import { Buffer, type Parameter } from './parameter.js';

/** A copy of a tensor's values in float32, or as whole numbers. */
export function tensorDataOf(tensor: Tensor, dtype: 'float32' | 'int64' = 'float32'): TensorData {
  const values = tensor.dataSync();
  const data = dtype === 'int64' ? BigInt64Array.from(values, (value) => BigInt(value)) : Float32Array.from(values);
  return { dtype, shape: [...tensor.shape], data };
}

/** A float32 tensor of a file's values. The caller disposes of it. */
export const tensorOf = (data: TensorData): Tensor => tf.tensor(toFloat32(data), data.shape, 'float32');

/** Copies of a model's parameters and persistent buffers for which `which` holds. */
export function recordOf(model: Module, which: (name: string, stored: Parameter | Buffer) => boolean): TensorRecord {
  const persistent = [...model.namedBuffers()].filter(([, buffer]) => buffer.persistent);
  const chosen = [...model.namedParameters(), ...persistent].filter(([name, stored]) => which(name, stored));
  return tensorRecord(
    chosen.map(([name, stored]) => [
      name,
      tensorDataOf(stored.value, stored instanceof Buffer ? stored.fileDtype : 'float32'),
    ]),
  );
}
