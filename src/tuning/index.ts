// Tuning methods: how a trained model is adapted, and what of it trains.
export { defineMethod, type TuningMethod } from './method.js';
export { isHead, replaceBlocks, replaceModules, trainOnly } from './modules.js';
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
