// Which device computes; capture and replay; tensors of random numbers; memory.
export { executeOp, handOver, isTensorflow, type OpAttribute } from './backend.js';
export { type InPlaceUpdate, updateInPlace } from './capture/inPlace.js';
export { Program, type ProgramOptions, type Step, type StepInputs } from './capture/program.js';
export type { Tensors } from './capture/recordingSession.js';
export { type Exportable, exportSavedModel, type SavedModelOptions } from './capture/savedModel.js';
export { MessageWriter } from './capture/wire.js';
export { valueAndGradients } from './gradients.js';
export {
  executeNative,
  hasNativeOps,
  type NativeAttributes,
  nativeInstructions,
  withPortableOps,
} from './nativeOps.js';
export { RandomKey } from './randomKey.js';
export { readArray, readable } from './readable.js';
export { currentEngine, ENGINES, type Engine, type EngineName, startEngine } from './start.js';
export { type Tensor, tf, type Variable } from './tf.js';
