// Self-supervised pre-training: MoCo v3.
export { type Encoder, Moco, type MocoOptions, type MocoStepOptions, mocoStep } from './moco.js';
export { contrastiveLoss, mocoLoss } from './mocoLoss.js';
export { linearProbe, type PretrainOptions, pretrain, type ViewSource } from './train.js';
