// Architectures.
export { Block, LayerScale, VIT_DEFAULTS, VisionTransformer, type ViTConfig } from './vit.js';
