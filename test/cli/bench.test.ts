// The benchmark command: what it measures, writes and refuses. No figure of it is judged here.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { cli, temporaryFolder } from '../recipes/support.js';

describe('vitlab bench', () => {
  it('writes a row for every match, with the machine and the command', async () => {
    const folder = temporaryFolder();
    try {
      const out = path.join(folder.dir, 'rows.json');
      const { code, stdout } = await cli(['bench', '--only', 'infer ViT 192*fp32', '--rounds', '1', '--out', out]);
      assert.equal(code, 0);
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const report = JSON.parse(readFileSync(out, 'utf8'));
      assert.deepEqual(report.rows, lines);
      assert.match(report.command, /^npx vitlab bench --only 'infer ViT 192\*fp32' --rounds 1 /);
      assert.ok(report.machine.cores > 0);
      const [row] = lines;
      assert.equal(row.name, 'infer ViT 192×4, 101 tokens, batch 32, fp32');
      assert.ok(row.ours > 0 && row.gflops > 0 && row.fractionOfPeak > 0 && row.peakMB > 0);
      assert.deepEqual([row.peer, row.ratio, row.compiled], [null, null, null]);
    } finally {
      folder.remove();
    }
  });

  it('refuses what it cannot measure', async () => {
    const cases: [string[], RegExp][] = [
      [['--only', 'train ResNet*', '*GPT*'], /No row of all matches train ResNet\*, \*GPT\*/],
      [['--suite', 'speed'], /train, infer, first, data, all/],
      [['--rounds', '0'], /whole number from 1/],
    ];
    for (const [flags, message] of cases) {
      const { code, stderr } = await cli(['bench', ...flags]);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  it('says which program is missing on the other side, and writes nothing', async () => {
    const folder = temporaryFolder();
    try {
      const out = path.join(folder.dir, 'rows.json');
      const flags = ['--only', 'infer ViT 192*fp32', '--rounds', '1', '--torch', '/no/such/python', '--out', out];
      const { code, stderr } = await cli(['bench', ...flags]);
      assert.equal(code, 1);
      assert.match(stderr, /no\/such\/python/);
      assert.ok(!existsSync(out));
    } finally {
      folder.remove();
    }
  });
});
