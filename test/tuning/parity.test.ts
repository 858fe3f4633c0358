// The tuning methods against the numbers of the reference implementations; on the engine of the process, and some on
// others.
import { testGoldenCases } from '../support/goldenCases.js';

const CASES = [
  'adaptformer-seed',
  'adaptformer-official-avgpool',
  'adaptformer-official-bnhead-train',
  'adaptformer-official-out',
  'adaptformer-official-sequential',
  'bitfit',
  'linear-probe',
  'lora-all',
  'lora-rslora',
  'mona-narrow',
  'mona-op',
  'swin-mona-padded',
  'vpt-deep-proj',
  'vpt-shallow',
  'param-counts',
  'init-spec',
];

testGoldenCases('tuning methods', CASES, [
  ['cpu', 'vpt-*', 2],
  ['cpu', 'mona-*', 2],
  ['wasm', 'lora-*', 2],
  ['wasm', 'adaptformer-official-s*', 1],
  ['webgpu', 'mona-*', 2],
  ['webgpu', 'vpt-deep*', 1],
]);
