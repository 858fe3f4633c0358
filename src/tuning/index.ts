// Tuning methods: how a trained model is adapted, and what of it trains.
export { describeTuned, loadTuned, saveTuned, type TunedDescription } from './file.js';
export { LoraLinear, mergedState, mergeLora, unmergeLora } from './lora.js';
export { defineMethod, type MethodDefinition, type TuningMethod } from './method.js';
export { attach, findBlocks, isHead, replaceBlocks, replaceHead, replaceModules, trainOnly } from './modules.js';
export { Mona, MonaOp, type MonaOptions, type SequenceLayout } from './mona.js';
export {
  applyTuning,
  countParameters,
  type Tuning,
  type TuningName,
  type TuningOptions,
  tune,
  tuningMethod,
  tuningMethods,
} from './registry.js';
