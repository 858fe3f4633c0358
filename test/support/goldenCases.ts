// The fixture cases of models and tuning as tests: on the engine of this process, and some on other engines.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { runCase } from '../../src/parity/index.js';

const root = path.join(__dirname, '../..');
const golden = path.join(root, 'test/fixtures/golden/models');

/** A test for each case, and one for each `[engine, pattern of cases, how many they are]`. */
export function testGoldenCases(
  what: string,
  cases: readonly string[],
  elsewhere: readonly (readonly [engine: string, only: string, count: number])[],
): void {
  describe(`${what} against the references`, () => {
    for (const name of cases) {
      it(name, async () => {
        const { passed, failures } = await runCase(path.join(golden, name));
        assert.ok(passed, failures.join('\n'));
      });
    }
  });

  describe(`${what} on other engines`, () => {
    for (const [engine, only, count] of elsewhere) {
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
}
