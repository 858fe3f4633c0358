import assert from 'node:assert/strict';
import { it } from 'node:test';
import { tempDir } from '../support/tempDir.js';
import { fuzz } from './fuzz.js';

const temp = tempDir();

it('reads or refuses damaged checkpoint files, the same ones for the same seed', async () => {
  const report = await fuzz(3, 400, temp('damaged'));
  assert.deepEqual(report.failures, []);
  for (const format of ['torch', 'npz', 'safetensors']) {
    const { read, refused } = report.outcomes[format]!;
    assert.ok(read > 0 && refused > 0, `${format}: ${read} read, ${refused} refused`);
  }
  assert.deepEqual(await fuzz(3, 400, temp('damaged')), report);
});
