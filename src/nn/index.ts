// Layers and what they are made of.
export { Attention, type AttentionOptions, Mlp } from './attention.js';
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions } from './batchNorm.js';
export { ForwardContext, tapped } from './context.js';
export { Conv2d, type Conv2dOptions } from './conv2d.js';
export { attentionWeights, mergeHeads, splitHeads } from './functional/attention.js';
export { type ConvGeometry, conv2d } from './functional/conv2d.js';
export { gelu } from './functional/gelu.js';
export { layerNorm } from './functional/layerNorm.js';
export { linear } from './functional/linear.js';
export { defineOp } from './functional/op.js';
export type { Initializer } from './init.js';
export * as init from './init.js';
export { Dropout, DropPath, Gelu, LayerNorm, Linear, type LinearOptions, Relu } from './layers.js';
export { Identity, type LoadReport, Module, Sequential, type StateDict } from './module.js';
export { pair, type Size } from './pair.js';
export { Buffer, Parameter } from './parameter.js';
export { PatchEmbed, type PatchEmbedding, type PatchEmbedOptions, PatchProjection } from './patchEmbed.js';
export { formatSummary, type ModelSummary, type SummaryRow, summary } from './summary.js';
