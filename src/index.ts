// vitlab: everything that a notebook uses. `import { … } from './src/index.js'`.
export * from './checkpoint/index.js';
export * from './data/index.js';
export * from './engine/index.js';
export * from './errors.js';
export * from './experiments/index.js';
export * from './hub/index.js';
export * from './kernel/index.js';
export * from './models/index.js';
export * from './nn/index.js';
export * from './plot/index.js';
export * from './pretrain/index.js';
export * from './random/index.js';
export * from './recipes/index.js';
export * from './train/index.js';
export * from './tuning/index.js';
export * from './words.js';
