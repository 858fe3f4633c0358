// Optimisers, schedules, losses, metrics, trainer.
export { GradientAccumulator } from './accumulate.js';
export type { BatchSource, LabelledBatch, Source } from './batches.js';
export { classCounts, rarityWeights } from './classWeights.js';
export { clipByGlobalNorm, globalNorm } from './clip.js';
export { type EmaDecayOptions, emaDecay, moveTowards, WeightEma } from './ema.js';
export { type Evaluation, evaluate, predict } from './evaluate.js';
export {
  extractFeatures,
  type FeatureModel,
  type Features,
  featuresStep,
  runFeatures,
} from './features.js';
export { gradientNorms } from './gradientNorms.js';
export { Interrupted, type InterruptWatch } from './interrupt.js';
export { type KnnOptions, knnAccuracy, knnPredict } from './knn.js';
export { LiveCurves, type LivePoints } from './liveCurves.js';
export { runTraining } from './loop.js';
export { type CrossEntropyOptions, crossEntropy, oneHot } from './losses.js';
export { ConfusionMatrix, correctTopK, Mean, predictions } from './metrics.js';
export { cutmix, drawBox, drawLambda, type MixedBatch, mixup } from './mixup.js';
export { parseNamed } from './namedConfig.js';
export { Adam, type AdamOptions, AdamW } from './optimizers/adam.js';
export { decayGroups } from './optimizers/groups.js';
export { Lars, type LarsOptions } from './optimizers/lars.js';
export {
  type Groups,
  Optimizer,
  type ParameterGroup,
  type Rule,
  type Slots,
  type UpdateInputs,
  type UpdateRule,
} from './optimizers/optimizer.js';
export {
  createOptimizer,
  type OptimizerConfig,
  type OptimizerName,
  optimizerSchemas,
  parseOptimizer,
} from './optimizers/registry.js';
export { Sgd, type SgdOptions } from './optimizers/sgd.js';
export { clock, createProgress, type ProgressState, type ProgressView, progressLine } from './progress.js';
export {
  createSchedule,
  parseSchedule,
  type RunLength,
  type Schedule,
  type ScheduleConfig,
  type ScheduleName,
  scheduleSchemas,
} from './scheduleRegistry.js';
export * as schedules from './schedules.js';
export { type EpochRecord, epochSchema, type Position, readPosition } from './state.js';
export { evaluateStep, type TrainStepOptions, trainStep } from './step.js';
export { type FitOptions, type FitResult, fit } from './trainer.js';
export type { EpochOutcome, Pace, Training, TrainingOptions, TrainingResult, Update } from './training.js';
export { copyOf } from './variables.js';
