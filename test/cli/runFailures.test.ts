// `vitlab run` over kernels that hang, die or run out of memory, and over run folders that are damaged: each ends with
// its own status, exit status and words, and no folder looks finished that is not.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readProvenance } from '../../src/recipes/runFolder.js';
import { type CellSpec, cli, notebookFolder, startCli } from '../recipes/support.js';
import { until } from '../support/processes.js';

const FOREVER = "console.log('begun'); await new Promise(() => {});";
const HERE = 'process.env.VITLAB_RUN_DIR';

describe('vitlab run, when things go wrong', () => {
  const { notebook, place } = notebookFolder();

  /** Runs one notebook; checks that command and folder tell the same. */
  async function ends(
    name: string,
    cells: readonly CellSpec[],
    expected: { code: number; status: string; error: RegExp },
    { args = [], env = {} }: { args?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
  ): Promise<void> {
    const dir = place(`${name}-run`);
    const { code, stdout, stderr } = await cli(['run', notebook(name, cells), '--out', dir, ...args], { env });
    const { status, exitCode, error } = readProvenance(dir);
    assert.deepEqual([code, status, exitCode, stderr], [expected.code, expected.status, expected.code, ''], stdout);
    assert.match(error!, expected.error);
    assert.ok(stdout.includes(error!), stdout);
    assert.ok(existsSync(path.join(dir, 'report.html')));
  }

  it('a promise that is rejected fails its cell, also the last one: 1', () =>
    ends('rejected', ["console.log('fine')", "void Promise.reject(new Error('nobody hears this'));"], {
      code: 1,
      status: 'failed',
      error: /^Cell 2 failed: Error: nobody hears this/,
    }));

  it('an error after the last cell has ended fails the run: 1', () =>
    ends('left', ["Promise.reject(new Error('late')); setTimeout(() => { throw new Error('later'); }, 0);"], {
      code: 1,
      status: 'failed',
      error: /^Cell 1 failed: Error: late/,
    }));

  it('a cell that waits for ever hangs: 4', () =>
    ends(
      'hangs',
      [FOREVER],
      {
        code: 4,
        status: 'hung',
        error: /^Cell 1 hangs: it neither said nor computed anything for \d+ s.*--stall-timeout/,
      },
      { args: ['--stall-timeout', '10'] },
    ));

  it('a cell that computes for ever without a word hangs too: 4', () =>
    ends(
      'spins',
      ["console.log('begun'); for (;;);"],
      { code: 4, status: 'hung', error: /^Cell 1 hangs: it computed for .* without a word/ },
      { args: ['--stall-timeout', '0.8'] },
    ));

  it('a kernel whose heap is full has run out of memory: 5', () =>
    ends(
      'heap',
      ['const kept: unknown[] = []; for (;;) kept.push(new Array(100_000).fill(0.5));'],
      { code: 5, status: 'out-of-memory', error: /^Cell 1: The kernel ran out of memory .*heap out of memory/ },
      { env: { NODE_OPTIONS: '--max-old-space-size=400' } },
    ));

  it('a cell that asks for more memory than there is has run out of it: 5', () =>
    ends('buffer', ['new ArrayBuffer(2 ** 47);'], {
      code: 5,
      status: 'out-of-memory',
      error: /^Cell 1 ran out of memory: RangeError: Array buffer allocation failed/,
    }));

  it('a kernel that is killed from outside has died: 5', () =>
    ends('shot', ["process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});"], {
      code: 5,
      status: 'died',
      error: /^Cell 1: Something outside killed the kernel \(SIGKILL\)/,
    }));

  it('records that are damaged fail the run: 1', async () => {
    await ends('metrics', [`require('fs').writeFileSync(${HERE} + '/metrics.json', '{"top1": 0.5');`], {
      code: 1,
      status: 'failed',
      error: /^Cannot read .*metrics\.json: /,
    });
    await ends('records', [`require('fs').writeFileSync(${HERE} + '/records.json', '{"series": 3}');`], {
      code: 1,
      status: 'failed',
      error: /records\.json is not what vitlab writes/,
    });
  });

  it('a figure that is damaged is told in the report', async () => {
    const lab = `import { openLab } from './src/recipes/index.js';
      openLab().plot({ data: [], layout: {} }, { name: 'curves', alt: 'Curves' });
      require('fs').writeFileSync(${HERE} + '/figures/curves.json', '{');`;
    const dir = place('figure-run');
    const { code } = await cli(['run', notebook('figure', [lab]), '--out', dir]);
    assert.equal(code, 0);
    assert.match(readFileSync(path.join(dir, 'report.html'), 'utf8'), /Cannot read .*curves\.json/);
  });

  it('Ctrl-C while the kernel starts ends the run at once: 130', async () => {
    const dir = place('early-run');
    // a kernel that takes long to start
    const wait = place('wait.cjs');
    writeFileSync(
      wait,
      "if (process.argv[1]?.endsWith('launch.cjs')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000);",
    );
    const { child, result } = startCli(['run', notebook('early', ["console.log('never')"]), '--out', dir], {
      env: { NODE_OPTIONS: `--require ${wait}` },
    });
    await until(() => existsSync(path.join(dir, 'provenance.json')), 'a run that starts');
    child.kill('SIGINT');
    const { code, stdout } = await result;
    assert.equal(code, 130, stdout);
    const { status, error, kernelPid } = readProvenance(dir);
    assert.deepEqual([status, error, kernelPid], ['interrupted', 'Interrupted while its kernel started.', null]);
  });

  it('refuses to resume a run that is still running: 2', async () => {
    const file = notebook('live', [FOREVER]);
    const dir = place('live-run');
    const running = startCli(['run', file, '--out', dir]);
    try {
      await until(() => existsSync(path.join(dir, 'provenance.json')), 'a run that runs');
      const before = readFileSync(path.join(dir, 'provenance.json'), 'utf8');
      const { code, stderr } = await cli(['run', file, '--out', dir, '--resume']);
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`live-run is in use: process ${running.child.pid} runs in it`));
      assert.equal(JSON.parse(before).status, 'running');
      assert.equal(readProvenance(dir).status, 'running');
    } finally {
      running.child.kill('SIGINT');
      running.child.kill('SIGINT');
    }
    assert.equal((await running.result).code, 130);
  });
});
