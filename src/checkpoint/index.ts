// Checkpoint files: safetensors, PyTorch's .pth, the .npz of the first ViT, key maps, position embeddings.
export { writeFileAtomic } from './atomic.js';
export { readSafetensors, SafetensorsFile, type TensorInfo, writeSafetensors } from './safetensors.js';
export {
  type Dtype,
  dtypes,
  elementBytes,
  elementCount,
  float32,
  fromBytes,
  type TensorArray,
  type TensorData,
  type TensorRecord,
  tensorRecord,
  toBytes,
  toFloat32,
  toFloat64,
  zeros,
} from './tensorData.js';
