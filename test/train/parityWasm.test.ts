// The same numbers on another engine: what trains there must not depend on TensorFlow's own behaviour.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { currentEngine, startEngine } from '../../src/engine/index.js';
import { findCases, runCase } from '../../src/parity/index.js';

const root = path.join(__dirname, '../fixtures/golden/training');

before(async () => {
  process.env['VITLAB_ENGINE'] = 'wasm';
  await startEngine();
});

describe('training on the wasm engine', () => {
  for (const dir of findCases(root).filter((dir) => /(ema|losses|loss-T0.2|opt-[a-z-]+|adaptformer-seed)$/.test(dir))) {
    it(path.basename(dir), async () => {
      const { passed, failures } = await runCase(dir);
      assert.equal(currentEngine().name, 'wasm');
      assert.ok(passed, failures.join('\n'));
    });
  }
});
