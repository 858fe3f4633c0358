// The tuning methods against the numbers of the reference implementations; on the engine of the process, and some on
// others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { runCase } from '../../src/parity/index.js';

const root = path.join(__dirname, '../..');
const golden = path.join(root, 'test/fixtures/golden/models');

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

describe('tuning methods against the references', () => {
  for (const name of CASES) {
    it(name, async () => {
      const { passed, failures } = await runCase(path.join(golden, name));
      assert.ok(passed, failures.join('\n'));
    });
  }
});

describe('tuning methods on other engines', () => {
  for (const [engine, only, count] of [
    ['cpu', 'vpt-*', 2],
    ['cpu', 'mona-*', 2],
    ['wasm', 'lora-*', 2],
    ['wasm', 'adaptformer-official-s*', 1],
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
