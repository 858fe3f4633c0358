// Which device computes; capture and replay; tensors of random numbers.
export { executeOp, handOver, isTensorflow, type OpAttribute } from './backend.js';
export { runDry } from './capture/dryRun.js';
export { Program, type ProgramOptions, type Step, type StepInputs } from './capture/program.js';
export type { Tensors } from './capture/recordingSession.js';
export { type Exportable, exportSavedModel, type SavedModelOptions } from './capture/savedModel.js';
export { MessageWriter } from './capture/wire.js';
export { valueAndGradients } from './gradients.js';
export { nativeInstructions } from './nativeOps.js';
export {
  executeOwn,
  executeOwnOutput,
  hasOwnOp,
  type InPlaceUpdate,
  type OwnAttributes,
  updateInPlace,
  withPortableOps,
} from './ownOps.js';
export { RandomKey } from './randomKey.js';
export { readArray, readable } from './readable.js';
export { currentEngine, ENGINES, type Engine, type EngineName, startEngine } from './start.js';
export { type Tensor, tf, type Variable } from './tf.js';
