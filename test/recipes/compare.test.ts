import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { tableText } from '../../src/plot/index.js';
import { compareRuns, readableTable } from '../../src/recipes/compare.js';
import { renderComparison } from '../../src/recipes/compareReport.js';
import { readRun } from '../../src/recipes/runFolder.js';
import { writeRun } from './runs.js';
import { cli, temporaryFolder } from './support.js';

const METHODS = { linear: [7690, 0.7], adaptformer: [1_189_632, 0.9], large: [9_000_000, 0.8] } as const;

describe('comparison', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  const dirs: string[] = [];

  before(() => {
    folder = temporaryFolder();
    for (const [method, [params, accuracy]] of Object.entries(METHODS)) {
      for (const seed of [1, 2, 3]) {
        const dir = path.join(folder.dir, `${method}-${seed}`);
        dirs.push(dir);
        writeRun(dir, { parameters: { method, epochs: 2, seed }, seed }, (lab) => {
          lab.record('accuracy', accuracy + seed / 100);
          lab.record('trained_parameters', params);
          lab.measure('stepMs', 10 * seed);
          lab.series('val', [1, 2], [seed, 2 * seed], { xLabel: 'epoch' });
        });
      }
    }
  });
  after(() => folder.remove());

  it('groups runs that differ in their seed alone', () => {
    const { groups } = compareRuns(dirs.map(readRun));
    assert.deepEqual(
      groups.map(({ label, runs }) => [label, runs.length]),
      [
        ['method linear', 3],
        ['method adaptformer', 3],
        ['method large', 3],
      ],
    );
  });

  it('tells what differs, and leaves out what does not', () => {
    const { table } = compareRuns(dirs.map(readRun));
    assert.ok(table.columns.includes('method') && table.columns.includes('seed'));
    assert.ok(!table.columns.includes('epochs'));
    const readable = readableTable(table);
    assert.ok(!readable.columns.includes('notebook') && !readable.columns.includes('profile'));
    const text = tableText(readable).split('\n');
    assert.equal(text.length, 10);
    assert.match(text[1]!, /linear-1\s+finished\s+linear\s+1\s+0\.71\s+7,690\s+10\s+2 min 00 s\s+1\.5 GB/);
  });

  it('draws means, standard deviations and the front', () => {
    const { figures } = compareRuns(dirs.map(readRun));
    const bars = figures.find(
      ({ figure }) => figure.layout.title && JSON.stringify(figure.layout.title).includes('"accuracy"'),
    );
    const [trace] = bars!.figure.data as unknown as { x: number[]; error_x: { array: number[] } }[];
    assert.ok(Math.abs(trace!.x[0]! - 0.72) < 1e-12 && Math.abs(trace!.error_x.array[0]! - 0.01) < 1e-12);
    const front = figures.flatMap(({ figure }) => figure.data as unknown as { name: string; x: number[] }[]);
    assert.deepEqual(front.find(({ name }) => name === 'Pareto front')!.x, [7690, 1_189_632]);
    const curves = front.filter(({ name, x }) => name?.startsWith('method') && x.length === 2);
    assert.deepEqual(
      curves.map(({ name }) => name),
      ['method linear', 'method adaptformer', 'method large'],
    );
  });

  it('compares the parts of a single run that compares by itself', () => {
    const dir = writeRun(path.join(folder.dir, 'parts'), {}, (lab) => {
      for (const [method, [params, accuracy]] of Object.entries(METHODS)) {
        lab.record(`${method}.trainedParameters`, params);
        lab.record(`${method}.top1`, accuracy);
        lab.series(`${method}.top1`, [1, 2], [0, accuracy]);
      }
      lab.record('paper.parameters', 86_394_736);
      lab.record('total', 1);
    });
    const { figures, table } = compareRuns([readRun(dir)]);
    assert.deepEqual(
      figures.map(({ alt }) => alt.replace(/[.,] .*/, '')),
      ['top1 over trainedParameters', 'top1 of linear', 'trainedParameters', 'top1'],
    );
    assert.ok(table.columns.includes('linear.top1') && table.columns.includes('total'));
    const readable = readableTable(table);
    assert.deepEqual(readable.columns, ['run', 'parts']);
    assert.deepEqual(readable.rows.at(-3), ['total', 1]);
  });

  it('handles runs that share nothing', () => {
    const other = writeRun(path.join(folder.dir, 'other'), { notebook: 'x.ipynb', status: 'failed', exitCode: 1 });
    const dead = writeRun(path.join(folder.dir, 'dead'), { status: 'running', seconds: null });
    const { table, figures } = compareRuns([other, dead, dirs[0]!].map(readRun));
    const status = table.rows.map((row) => row[table.columns.indexOf('status')]);
    assert.deepEqual(status, ['failed', 'stopped without an end', 'finished']);
    assert.equal(figures.filter(({ alt }) => alt.startsWith('accuracy')).length, 0);
  });

  it('is a page, a CSV file and a table on the command line', async () => {
    const [html, csv] = ['c.html', 'c.csv'].map((name) => path.join(folder.dir, name));
    const { code, stdout } = await cli(['compare', ...dirs, '--html', html!, '--csv', csv!]);
    assert.equal(code, 0);
    assert.match(stdout, /adaptformer-2 .*0\.92/);
    const lines = readFileSync(csv!, 'utf8').trim().split('\n');
    assert.equal(lines.length, 10);
    assert.match(lines[0]!, /^run,notebook,profile,status,method,seed,accuracy,trained_parameters,stepMs,seconds,/);
    assert.match(lines[1]!, /,0\.71,7690,10,120,1500000000,/);
    assert.match(readFileSync(html!, 'utf8'), /9 runs compared[\s\S]*3 set-ups/);
  });

  it('names a folder that holds no run', async () => {
    const { code, stderr } = await cli(['compare', folder.dir]);
    assert.equal(code, 1);
    assert.match(stderr, /holds no run.*provenance\.json/);
  });

  it('escapes what runs say', () => {
    const evil = writeRun(path.join(folder.dir, 'evil'), { parameters: { a: '<img src=x onerror=alert(1)>' } });
    const page = renderComparison(compareRuns([evil, dirs[0]!].map(readRun)));
    assert.doesNotMatch(page, /<img src=x/);
  });
});
