// Transforms of images: the operations themselves, and pipelines of them as data. Where torchvision gives different results
// for PIL images and for tensors, these are the results for PIL images, bit for bit.
export * from './blur.js';
export * from './color.js';
export * from './floats.js';
export * from './geometry.js';
export * from './pipeline.js';
export * from './presets.js';
export * from './resize.js';
export { TRANSFORM_NAMES, type TransformSpec, type TransformSpecs } from './specs.js';
