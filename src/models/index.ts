// Architectures.
export { ConvStem, MOCO_VIT_DEFAULTS, MocoViT, type MocoViTConfig, sinCosPositions } from './mocoVit.js';
export { isTransformerBlock, type TransformerBlock } from './seams.js';
export {
  PatchMerging,
  SWIN_DEFAULTS,
  SWIN_ORIGINAL,
  SWIN_TORCHVISION,
  type SwinConfig,
  SwinStage,
  SwinTransformer,
} from './swin.js';
export { SwinBlock, type SwinBlockOptions, WindowAttention } from './swinBlock.js';
export { relativePositionIndex, shiftMask } from './swinWindows.js';
export { Block, LayerScale, VIT_DEFAULTS, VisionTransformer, type ViTConfig } from './vit.js';
