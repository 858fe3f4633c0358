// Architectures, by class and by name.
import './catalogue.js';

export { type ClassAttention, classAttention } from './attentionMaps.js';
export { LINEAR_INITS, type LinearInit } from './linearInit.js';
export { ConvStem, MOCO_VIT_DEFAULTS, MocoViT, type MocoViTConfig, sinCosPositions } from './mocoVit.js';
export {
  createModel,
  type ImageModel,
  type ModelEntry,
  type ModelFamily,
  modelEntry,
  modelNames,
  registerModel,
} from './registry.js';
export {
  isMapBlock,
  isMapMerging,
  isPatchModel,
  isSequenceModel,
  isTransformerBlock,
  type MapBlock,
  type MapMerging,
  type PatchModel,
  type PositionResampling,
  type ResizableModel,
  type SequenceModel,
  setInputSize,
  type TransformerBlock,
} from './seams.js';
export { PatchMerging, SwinStage, SwinTransformer } from './swin.js';
export { SwinBlock, type SwinBlockOptions, WindowAttention } from './swinBlock.js';
export { SWIN_DEFAULTS, SWIN_ORIGINAL, SWIN_TORCHVISION, type SwinConfig } from './swinConfig.js';
export { type Pair, relativePositionIndex, shiftMask } from './swinWindows.js';
export { Block, LayerScale, VIT_DEFAULTS, VisionTransformer, type ViTConfig } from './vit.js';
