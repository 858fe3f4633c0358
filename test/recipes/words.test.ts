// What runs say on terminals, in logs and to CI servers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { junitXml } from '../../src/recipes/junit.js';
import { exitCodeOf, type Outcome } from '../../src/recipes/outcome.js';
import { durationText, progressText, shortenedTo } from '../../src/recipes/progress.js';
import { fairThreads } from '../../src/recipes/runAll.js';
import { StatusBoard } from '../../src/recipes/statusBoard.js';
import { markdownSummary } from '../../src/recipes/summary.js';

const outcome = (changes: Partial<Outcome>): Outcome => ({
  name: 'recipe',
  runDir: '/runs/recipe',
  status: 'finished',
  exitCode: 0,
  error: null,
  cells: [{ label: 'cell 1: a', status: 'ok', seconds: 1.5 }],
  checks: [],
  metrics: {},
  seconds: 2,
  ...changes,
});

class Terminal {
  text = '';
  columns = 60;
  constructor(readonly isTTY: boolean) {}
  write(chunk: string): boolean {
    this.text += chunk;
    return true;
  }
}

const board = (terminal: Terminal) => new StatusBoard(terminal as unknown as NodeJS.WriteStream);

describe('status board', () => {
  it('writes plain lines where there is no terminal', () => {
    const log = new Terminal(false);
    const status = board(log);
    status.start('k', 'recipe');
    status.update('k', { cell: 1, cells: 3, text: '' });
    status.update('k', { cell: 1, cells: 3, text: 'epoch 1' });
    status.update('k', { cell: 2, cells: 3, text: 'epoch 2' });
    status.done('k', 'recipe: finished');
    status.close();
    assert.match(log.text, /^recipe: cell 1 of 3, 0\.\d s\nrecipe: cell 2 of 3, 0\.\d s, epoch 2\nrecipe: finished\n$/);
  });

  it('redraws one line a run on a terminal, never wider than it', () => {
    const terminal = new Terminal(true);
    const status = board(terminal);
    status.start('a', 'first');
    status.start('b', 'second');
    status.update('a', { cell: 1, cells: 2, text: 'x'.repeat(200) });
    status.done('a', 'first: finished');
    status.close();
    assert.ok(terminal.text.includes('\x1b[2A\x1b[J'), 'both lines are erased before they are drawn again');
    assert.ok(
      stripVTControlCharacters(terminal.text)
        .split('\n')
        .every((line) => line.length <= 60),
    );
    assert.match(terminal.text, /first: finished\n.*second: starting/s);
  });
});

describe('words', () => {
  it('tells durations', () => {
    assert.deepEqual([0.42, 12.4, 185, 7810].map(durationText), ['0.4 s', '12 s', '3 min 05 s', '2 h 10 min']);
  });

  it('takes the last line that says something', () => {
    const stream = (text: string) => progressText({ output_type: 'stream', name: 'stdout', text });
    assert.equal(stream('a\nb\n\n'), 'b');
    assert.equal(stream('10 %\r\x1b[32m20 %\x1b[0m'), '20 %');
    assert.equal(
      progressText({ output_type: 'display_data', data: { 'text/plain': 'loss 1\n' }, metadata: {} }),
      'loss 1',
    );
    assert.equal(progressText({ output_type: 'error', ename: 'E', evalue: '', traceback: [] }), '');
    const line = 'training: epoch 2/4 ━━━╌╌╌ 3/10 · loss 1.234 · 120 img/s · 0:35 left';
    assert.equal(stream(line), 'training: epoch 2/4 3/10 · loss 1.234 · 120 img/s · 0:35 left');
  });

  it('shortens a line before its end, where the time left stands', () => {
    assert.equal(shortenedTo(20, 'short'), 'short');
    const line = 'recipe: cell 2 of 9, 12 s, epoch 2/4 3/10 · loss 1.234 · 120 img/s · 0:35 left';
    assert.equal(shortenedTo(70, line), 'recipe: cell 2 of 9, 12 s, epoch 2/4 3/10 · loss 1.234 · 0:35 left');
    assert.equal(shortenedTo(60, line), 'recipe: cell 2 of 9, 12 s, epoch 2/4 3/10 · 0:35 left');
    const short = shortenedTo(30, line);
    assert.equal(short.length, 30);
    assert.match(short, /^recipe: cell 2 of 9,….*0:35 left$/);
  });

  it('gives kernels a fair share of the threads, unless the environment says how many', () => {
    const env = { TF_NUM_INTRAOP_THREADS: '8' };
    assert.deepEqual([fairThreads(1, env), fairThreads(4, env)], [8, 8]);
    const cores = fairThreads(1, {});
    assert.deepEqual([fairThreads(cores, {}), fairThreads(2 * cores, {})], [1, 1]);
    assert.equal(fairThreads(2, {}), Math.max(1, Math.floor(cores / 2)));
  });

  it('lets the worst run decide the exit status', () => {
    const code = (...codes: number[]) => exitCodeOf(codes.map((exitCode) => outcome({ exitCode })));
    assert.deepEqual(
      [code(), code(0, 0), code(0, 3), code(3, 1), code(1, 4), code(4, 5), code(5, 130)],
      [0, 0, 3, 1, 4, 5, 130],
    );
    assert.equal(exitCodeOf([outcome({ exitCode: 0 })], 2), 130, 'a run that never began');
  });
});

describe('JUnit', () => {
  it('has a case a cell and a case a metric', () => {
    const xml = junitXml([
      outcome({
        exitCode: 3,
        checks: [
          { metric: 'a', expected: { min: 1 }, seen: 2, passed: true },
          { metric: 'b', expected: { max: 1 }, seen: undefined, passed: false },
        ],
      }),
    ]);
    assert.match(xml, /<testsuite name="recipe" tests="3" failures="1" errors="0" skipped="0" time="2\.000">/);
    assert.match(xml, /name="metric a: at least 1" time="0\.000"\/>/);
    assert.match(xml, /<failure message="b was never recorded, but at most 1 was expected\.">/);
  });

  it('escapes, and tells failed from skipped', () => {
    const xml = junitXml([
      outcome({
        status: 'failed',
        exitCode: 1,
        cells: [
          {
            label: 'cell 1: a < "b"',
            status: 'failed',
            seconds: 1,
            error: 'Error: <x>\u0000\u001b[31m & y\nsecond line',
          },
          { label: 'cell 2', status: 'skipped', seconds: 0 },
        ],
      }),
    ]);
    assert.match(xml, /name="cell 1: a &lt; &quot;b&quot;"/);
    assert.match(xml, /<failure message="Error: &lt;x&gt; &amp; y">Error: &lt;x&gt; &amp; y\nsecond line<\/failure>/);
    assert.match(xml, /<skipped\/>/);
    assert.match(xml, /tests="2" failures="1" errors="0" skipped="1"/);
  });

  it('is never green for a run that did not come to its cells', () => {
    const xml = junitXml([outcome({ status: 'died', exitCode: 5, error: 'no kernel', cells: [] })]);
    assert.match(xml, /tests="1" failures="1"[\s\S]*<failure message="no kernel">/);
  });
});

describe('the summary for CI', () => {
  const good = outcome({
    name: 'good',
    metrics: { top1: 0.5, loss: 2 },
    checks: [{ metric: 'top1', expected: { min: 0.4 }, seen: 0.5, passed: true }],
  });

  it('is a table of runs, and one of metrics for each', () => {
    const text = markdownSummary([good]);
    assert.match(text, /^## vitlab: 1 of 1 run passed\n/);
    assert.match(text, /\| ✅ \| good \| finished \| 1 of 1 \| 2\.0 s \| `\/runs\/recipe` \|/);
    assert.match(text, /### good\n\n[\s\S]*\| ✅ \| top1 \| 0\.5 \| at least 0\.4 \|\n\| {2}\| loss \| 2 \| – \|/);
    assert.match(text, /\| {2}\| loss \| 2 \| – \|/);
  });

  it('tells failures, runs that never began, and stays Markdown whatever they say', () => {
    const failed = outcome({
      name: 'a|b <i>',
      status: 'failed',
      exitCode: 1,
      error: 'Cell 1 failed',
      cells: [
        { label: 'cell 1: x', status: 'failed', seconds: 1, error: 'Error: ```\n\u001b[31mred\u001b[0m\n</details>' },
      ],
      checks: [{ metric: 'top1', expected: { max: 1 }, seen: undefined, passed: false }],
    });
    const text = markdownSummary([good, failed], 3);
    assert.match(text, /^## vitlab: 1 of 3 runs passed/);
    assert.match(text, /\| ❌ \| a\\\|b &lt;i> \| failed \| 0 of 1 \|/);
    assert.match(text, /\| ❌ \| top1 \| not recorded \| at most 1 \|/);
    assert.match(text, /````text\ncell 1: x\nError: ```\nred\n<\/details>\n````/);
  });
});
