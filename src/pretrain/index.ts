// Self-supervised pre-training: MoCo v3.
export { type Encoder, Moco, type MocoOptions, type MocoStepOptions, mocoStep } from './moco.js';
export { contrastiveLoss, mocoLoss } from './mocoLoss.js';
export {
  type KnnMonitor,
  type PretrainCurves,
  type PretrainEpoch,
  type PretrainOptions,
  type PretrainResult,
  type PretrainStep,
  pretrain,
  type ViewPair,
  type ViewSource,
} from './pretrain.js';
export { linearProbe } from './probe.js';
