// Self-supervised pre-training: MoCo v3.
export { contrastiveLoss, mocoLoss } from './mocoLoss.js';
