// Checkpoint files: safetensors, PyTorch's .pth, the .npz of the first ViT, key maps, position embeddings.

export {
  type CheckpointFormat,
  type Contents,
  detectFormat,
  inspectCheckpoint,
  loadCheckpoint,
} from './file.js';
export { describeFit, type FitReport, type FitStateOptions, fitState } from './fit.js';
export { type Conversion, convertNames, detectNaming, type Naming, namings } from './keyMaps.js';
export { npzToTimm, readNpz } from './npz.js';
export {
  type Grid,
  type InterpolateEmbeddingsOptions,
  interpolateEmbeddings,
  requireMocoGrid,
  resampleTimm,
  type TimmResampleOptions,
  zoomVpt,
} from './posEmbed.js';
export { type GridInterpolation, type ResampleOptions, resampleGrid } from './resample.js';
export { readSafetensors, SafetensorsFile, type TensorInfo, writeSafetensors } from './safetensors.js';
export { positionSimilarity } from './similarity.js';
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
export { transpose } from './tensorOps.js';
export { loadTorch, type TorchOptions, type TorchValue } from './torch.js';
export { type FoundState, findStateDict, isTensor } from './torchState.js';
export { ZipArchive } from './zip.js';
