// The layers that some engines lack kernels for, tested again on those engines, a process each.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';

const runner = path.join(__dirname, '../run.mjs');

describe('layers on other engines', () => {
  for (const engine of ['wasm', 'cpu']) {
    for (const layer of ['conv2d', 'batchNorm']) {
      it(`${layer} on ${engine}`, () => {
        const { NODE_TEST_CONTEXT: _, ...env } = process.env;
        const { status, stdout, stderr } = spawnSync(process.execPath, [runner, `test/nn/${layer}.test.ts`], {
          env: { ...env, VITLAB_ENGINE: engine },
          encoding: 'utf8',
        });
        assert.match(stdout, /[1-9]\d* passed, 0 failed\s*$/, stdout + stderr);
        assert.equal(status, 0);
      });
    }
  }
});
