import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DataFrame } from 'danfojs-node';
import { ENV, openLab } from '../../src/recipes/lab.js';
import { readRecorded, readRun } from '../../src/recipes/runFolder.js';
import { alive } from '../support/processes.js';
import { ROOT, temporaryFolder } from './support.js';

interface Shown {
  readonly bundle: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
}

describe('lab in a run folder', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let shown: Shown[];
  const global = globalThis as { vitlabKernel?: unknown };

  beforeEach(() => {
    folder = temporaryFolder();
    shown = [];
    process.env[ENV.runDir] = folder.dir;
    process.env[ENV.profile] = 'quick';
    process.env[ENV.parameters] = '{"epochs":3}';
    global.vitlabKernel = {
      display: (bundle: Shown['bundle'], metadata: Shown['metadata']) => shown.push({ bundle, metadata }),
    };
  });
  afterEach(() => {
    for (const name of Object.values(ENV)) delete process.env[name];
    delete global.vitlabKernel;
    folder.remove();
  });

  const json = (...names: string[]) => JSON.parse(readFileSync(path.join(folder.dir, ...names), 'utf8')) as unknown;

  it('knows how it is run', () => {
    const lab = openLab();
    assert.deepEqual(
      [lab.runDir, lab.profile, lab.parameters, lab.resuming],
      [folder.dir, 'quick', { epochs: 3 }, false],
    );
  });

  it('keeps the last value of a metric', () => {
    const lab = openLab();
    assert.deepEqual(json('metrics.json'), {});
    lab.record('accuracy', 0.1);
    lab.record('loss', 2);
    lab.record('accuracy', 0.7);
    assert.deepEqual(json('metrics.json'), { accuracy: 0.7, loss: 2 });
  });

  it('refuses metrics that are no finite numbers', () => {
    const lab = openLab();
    assert.throws(() => lab.record('loss', Number.NaN), /'loss' is NaN/);
    assert.throws(() => lab.record('loss', Number.POSITIVE_INFINITY), /'loss' is Infinity/);
    assert.throws(() => lab.measure('stepMs', Number.NaN), /'stepMs' is NaN/);
    assert.deepEqual(json('metrics.json'), {});
  });

  it('keeps measurements apart from metrics', () => {
    const lab = openLab();
    lab.record('loss', 2);
    lab.measure('stepMs', 12.5);
    lab.measure('stepMs', 11);
    openLab().measure('imagesPerSecond', 80);
    assert.deepEqual(json('metrics.json'), { loss: 2 });
    assert.deepEqual(json('measurements.json'), { stepMs: 11, imagesPerSecond: 80 });
  });

  it('keeps curves, with gaps where values are not finite', () => {
    const lab = openLab();
    lab.series('loss', [1, 2, 3], Float32Array.of(1, Number.NaN, 0.5), { xLabel: 'epoch' });
    const { records } = readRecorded(folder.dir);
    assert.deepEqual(records!.series, { loss: { x: [1, 2, 3], y: [1, null, 0.5], xLabel: 'epoch' } });
    assert.throws(() => lab.series('loss', [1], [1, 2]), /1 x values and 2 y values/);
  });

  it('shows and keeps figures, tables and notes in order', () => {
    const lab = openLab();
    const figure = { data: [{ type: 'bar' as const, x: ['a'], y: [1] }], layout: {} };
    lab.plot(figure, { name: 'bars', alt: 'One bar' });
    lab.table([{ a: 1, b: '<x>' }], { name: 'numbers', caption: 'Numbers' });
    lab.note('A **note**');
    lab.plot({ ...figure, layout: { height: 100 } }, { name: 'bars', alt: 'The same, smaller' });
    assert.deepEqual(readRecorded(folder.dir).records!.items, [
      { kind: 'figure', name: 'bars', alt: 'The same, smaller' },
      { kind: 'table', name: 'numbers', caption: 'Numbers' },
      { kind: 'note', text: 'A **note**' },
    ]);
    assert.deepEqual(json('figures', 'bars.json'), { ...figure, layout: { height: 100 } });
    assert.deepEqual(json('tables', 'numbers.json'), { columns: ['a', 'b'], rows: [[1, '<x>']] });
    assert.equal(shown.length, 4);
    assert.deepEqual(shown[0]!.bundle, { 'application/vnd.plotly.v1+json': figure, 'text/plain': 'One bar' });
    assert.match(String(shown[1]!.bundle['text/html']), /&lt;x&gt;/);
    assert.deepEqual(shown[2]!.bundle['text/markdown'], 'A **note**');
  });

  it('takes danfo data frames as tables', () => {
    openLab().table(
      new DataFrame([
        { method: 'lora', top1: 0.5 },
        { method: 'full', top1: 0.75 },
      ]),
      { name: 'frame' },
    );
    assert.deepEqual(json('tables', 'frame.json'), {
      columns: ['method', 'top1'],
      rows: [
        ['lora', 0.5],
        ['full', 0.75],
      ],
    });
  });

  it('refuses names that are no file names', () => {
    const lab = openLab();
    for (const name of ['../evil', '', 'a b', '.hidden', 'a/b']) {
      assert.throws(() => lab.table([], { name }), { name: 'UsageError' }, name);
      assert.throws(() => lab.checkpointPath(name), { name: 'UsageError' }, name);
    }
  });

  it('gives checkpoints a place', () => {
    const lab = openLab();
    const file = lab.checkpointPath('model.safetensors');
    assert.equal(file, path.join(folder.dir, 'checkpoints', 'model.safetensors'));
    assert.ok(existsSync(path.dirname(file)));
  });

  it('goes on where an earlier lab of the same run stands', () => {
    const engine = { name: 'tensorflow', device: 'cpu', version: '2', describe: () => 'x' };
    openLab({ engine }).record('a', 1);
    const lab = openLab();
    lab.record('b', 2);
    lab.data('shapes10', 'sha256:1');
    lab.weights('vit', 'sha256:2');
    lab.weights('vit', 'sha256:3');
    assert.deepEqual(json('metrics.json'), { a: 1, b: 2 });
    const { records } = readRecorded(folder.dir);
    assert.deepEqual(records!.engine, { name: 'tensorflow', device: 'cpu', version: '2' });
    assert.deepEqual(records!.data, [{ name: 'shapes10', checksum: 'sha256:1' }]);
    assert.deepEqual(records!.weights, [{ name: 'vit', checksum: 'sha256:3' }]);
    assert.ok(records!.peakMemoryBytes > 1e6);
  });

  it('leaves valid files at every moment, also when killed', async () => {
    const script = `
      require('tsx/cjs/api').register();
      const lab = require('./src/recipes/lab.ts').openLab();
      const rows = Array.from({ length: 500 }, (_, i) => ({ i, text: 'row ' + i }));
      for (let i = 0; ; i++) {
        lab.record('step', i);
        lab.series('loss', [...Array(200).keys()], Array(200).fill(i));
        lab.table(rows, { name: 'rows' });
        if (i === 0) console.log('going');
      }`;
    for (const delay of [3, 31, 77, 140]) {
      const child = spawn(process.execPath, ['-e', script], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = new Promise((resolve) => child.on('exit', resolve));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      await ended;
      const { metrics, records } = readRecorded(folder.dir);
      assert.ok(Number.isInteger(metrics['step']));
      assert.equal(records!.series['loss']!.y.length, 200);
      assert.equal((json('tables', 'rows.json') as { rows: unknown[] }).rows.length, 500);
    }
  });
});

describe('lab by hand', () => {
  it('makes a run folder of its own, with provenance', () => {
    const lab = openLab({ name: 'lab-test', parameters: { seed: 7 } });
    try {
      assert.equal(path.dirname(lab.runDir), path.join(ROOT, 'runs'));
      lab.record('x', 1);
      const { provenance, metrics } = readRun(lab.runDir);
      assert.deepEqual(metrics, { x: 1 });
      assert.deepEqual([provenance.status, provenance.seed, provenance.profile], ['interactive', 7, 'standard']);
      assert.ok(alive(provenance.kernelPid!));
      const other = openLab({ name: 'lab-test' });
      assert.notEqual(other.runDir, lab.runDir);
    } finally {
      for (const name of readdirSync(path.join(ROOT, 'runs'))) {
        if (name.startsWith('lab-test-')) rmSync(path.join(ROOT, 'runs', name), { recursive: true });
      }
    }
  });
});
