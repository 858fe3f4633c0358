import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { findCases, runCase } from '../../src/parity/index.js';

const root = path.join(__dirname, '../fixtures/golden/training');

describe('training against the references', () => {
  const cases = findCases(root);
  it('has cases', () => assert.ok(cases.length >= 20));
  for (const dir of cases) {
    it(path.basename(dir), async () => {
      const { passed, failures } = await runCase(dir);
      assert.ok(passed, failures.join('\n'));
    });
  }
});
