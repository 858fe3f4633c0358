// The benchmark command: what it measures, writes and refuses. No figure of it is judged here.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Measurement } from '../../bench/measure.js';
import { partOf } from '../../bench/profile.js';
import { compareWith } from '../../bench/regression.js';
import { cli, temporaryFolder } from '../recipes/support.js';

describe('vitlab bench', () => {
  it('writes a row for every match, with the machine and the command, and exits with 3 where one was better', async () => {
    const folder = temporaryFolder();
    try {
      const out = path.join(folder.dir, 'rows.json');
      const earlier = path.join(folder.dir, 'earlier.json');
      const name = 'infer ViT 192×4, 101 tokens, batch 32, fp32';
      const better = { name, ratio: null, compiledRatio: null, fractionOfPeak: 100, ofWhole: null };
      writeFileSync(earlier, JSON.stringify({ rows: [better] }));
      const flags = ['--only', 'infer ViT 192*fp32', '--rounds', '1', '--out', out, '--baseline', earlier];
      const { code, stdout, stderr } = await cli(['bench', ...flags]);
      assert.equal(code, 3);
      assert.match(stderr, /infer ViT 192×4.*: fractionOfPeak 0\.\d+, was 100\n1 of 1 ratio worse by more than 15 %/);
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const report = JSON.parse(readFileSync(out, 'utf8'));
      assert.deepEqual(report.rows, lines);
      assert.match(report.command, /^npx vitlab bench --only 'infer ViT 192\*fp32' --rounds 1 /);
      assert.ok(report.machine.cores > 0);
      const [row] = lines;
      assert.equal(row.name, name);
      assert.ok(row.ours > 0 && row.gflops > 0 && row.fractionOfPeak > 0 && row.peakMB > 0);
      assert.deepEqual([row.peer, row.ratio, row.compiled], [null, null, null]);
    } finally {
      folder.remove();
    }
  });

  it('tells by its file and function what a sample of the processor is of', () => {
    const own = (isa: string, name: string): string =>
      `vitlab_ops.node\t[.] vitlab::${isa}::(anonymous namespace)::${name}`;
    const samples = {
      products: [own('amx', 'productBlock'), own('avx512bf16', 'packStrip'), '[JIT] tid 7\t[.] 0x00007fc1bce7d3b2'],
      attention: [own('avx512', 'tile<6, 4>'), own('amx', 'product'), own('amx', 'pack'), own('avx2', 'attentionGrad')],
      gelu: [own('avx512', 'geluGrad')],
      'layer norm': [own('avx512', 'layerNormGradInput')],
      'biases and their gradients': [own('avx512', 'columnSum')],
      depthwise: [own('avx512', 'convolve<7>')],
      update: ['vitlab_ops.node\t[.] vitlab::avx512::adam'],
      'the rest': ['[kernel.kallsyms]\t[k] finish_task_switch.isra.0', 'libc.so.6\t[.] malloc'],
    };
    for (const [part, of] of Object.entries(samples))
      for (const sample of of) assert.equal(partOf(sample), part, sample);
  });

  it('compares the ratios that both reports have, within a tolerance', () => {
    const row = (figures: object) => ({ name: 'a', ratio: null, compiledRatio: null, ...figures }) as Measurement;
    const then = { ratio: 2, compiledRatio: 1.5, fractionOfPeak: null, ofWhole: 0.8 };
    const baseline = new Map([['a', then]]);
    const slower = row({ ratio: 1.7, compiledRatio: 1.3, fractionOfPeak: 0.1, ofWhole: 1 });
    assert.deepEqual(compareWith(baseline, [slower], 0.14), {
      compared: 3,
      worse: ['a: ratio 1.7, was 2', 'a: ofWhole 1, was 0.8'],
    });
    assert.deepEqual(compareWith(baseline, [slower, { ...slower, name: 'b' }], 0.21), { compared: 3, worse: [] });
    // with a peer and without, the peak is not of the same products
    const alone = new Map([['a', { ...then, ratio: null, fractionOfPeak: 0.9 }]]);
    assert.deepEqual(compareWith(alone, [slower], 0.3), { compared: 2, worse: [] });
  });

  it('refuses what it cannot measure', async () => {
    const cases: [string[], RegExp][] = [
      [['--only', 'train ResNet*', '*GPT*'], /No row of all matches train ResNet\*, \*GPT\*/],
      [['--suite', 'speed'], /train, infer, first, data, all/],
      [['--rounds', '0'], /whole number from 1/],
      [['--tolerance', '2'], /between 0 and 1/],
      [['--baseline', 'package.json'], /package\.json is not a report/],
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
