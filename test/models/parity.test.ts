// The models against the numbers of the reference libraries; on the engine of the process, and some on others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { runCase } from '../../src/parity/index.js';

const root = path.join(__dirname, '../..');
const golden = path.join(root, 'test/fixtures/golden/models');

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

describe('models against the references', () => {
  for (const name of CASES) {
    it(name, async () => {
      const { passed, failures } = await runCase(path.join(golden, name));
      assert.ok(passed, failures.join('\n'));
    });
  }
});

describe('models on other engines', () => {
  for (const [engine, only, count] of [
    ['cpu', 'moco-conv*', 2],
    ['wasm', 'moco-conv*', 2],
    ['wasm', 'swin-*-small-map', 3],
    ['wasm', 'vit-*', 2],
  ] as const) {
    it(`${engine}: ${only}`, () => {
      const { stdout, stderr } = spawnSync(
        process.execPath,
        [path.join(root, 'bin/vitlab.cjs'), 'parity', golden, '--only', only],
        { env: { ...process.env, VITLAB_ENGINE: engine }, encoding: 'utf8' },
      );
      assert.match(stdout, new RegExp(`\\b${count} passed, 0 failed\\s*$`), stdout + stderr);
    });
  }
});
