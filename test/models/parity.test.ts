// The models against the numbers of the reference libraries; on the engine of the process, and some on others.
import { testGoldenCases } from '../support/goldenCases.js';

const CASES = [
  'vit-timm-rect',
  'vit-torchvision-prelogits',
  'moco-conv-vit',
  'moco-convstem-train',
  'moco-sincos',
  'moco-vit',
  'swin-original-padded',
  'swin-original-small-map',
  'swin-tables',
  'swin-timm-padded',
  'swin-timm-small-map',
  'swin-torchvision-padded',
  'swin-torchvision-small-map',
];

testGoldenCases('models', CASES, [
  ['cpu', 'moco-conv*', 2],
  ['wasm', 'moco-conv*', 2],
  ['wasm', 'swin-*-small-map', 3],
  ['wasm', 'vit-*', 2],
  ['webgpu', 'vit-*', 2],
  ['webgpu', 'swin-*-small-map', 3],
]);
