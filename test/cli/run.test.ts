// `vitlab run` over real kernels, with small notebooks that need no engine.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readRun } from '../../src/recipes/runFolder.js';
import { cli, notebookFolder, startCli } from '../recipes/support.js';
import { alive, until } from '../support/processes.js';

interface Executed {
  cells: { source: string[]; outputs?: { output_type: string; name?: string; text?: string[]; ename?: string }[] }[];
}

/** Writes metrics.json as the lab does, without compiling it. */
const record = (metrics: object) =>
  `require('fs').writeFileSync(process.env.VITLAB_RUN_DIR + '/metrics.json', '${JSON.stringify(metrics)}');`;

const SLOW = "console.log('begun'); await new Promise((resolve) => setTimeout(resolve, 120_000));";

describe('vitlab run', () => {
  const { notebook, place } = notebookFolder();
  const executed = (dir: string) => JSON.parse(readFileSync(path.join(dir, 'notebook.ipynb'), 'utf8')) as Executed;
  const textOf = (dir: string) =>
    executed(dir).cells.map((cell) => (cell.outputs ?? []).flatMap(({ text }) => text ?? []).join(''));

  it('executes with parameters, records and reports: 0', async () => {
    const file = notebook(
      'good',
      [
        { source: '# Good\n\nA recipe.', markdown: true },
        { source: "let epochs = 1;\nlet name = 'a';", tags: ['parameters'] },
        "import { openLab } from './src/recipes/index.js';\nconst lab = openLab();",
        "console.log(epochs, name, lab.profile);\nlab.record('accuracy', epochs / 10);\nlab.data('shapes', 'sha256:1');",
        "lab.plot({ data: [{ type: 'bar', x: ['a'], y: [1] }], layout: {} }, { name: 'bars', alt: 'One bar' });",
      ],
      { expects: { accuracy: { quick: { min: 0.5, max: 0.5 } } }, profiles: { quick: { epochs: 2 } } },
    );
    const [dir, junit] = [place('good-run'), place('good.xml')];
    const args = [
      'run',
      file,
      '--profile',
      'quick',
      '-p',
      'epochs=5',
      '-p',
      'name=b=c',
      '--out',
      dir,
      '--junit',
      junit,
    ];
    const { code, stdout, stderr } = await cli(args, { cwd: place() });
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /good: finished, 5 cells in .*1 of 1 expected metric in range/);
    assert.equal(textOf(dir)[4], '5 b=c quick\n');
    const { provenance, metrics, records } = readRun(dir);
    assert.deepEqual(metrics, { accuracy: 0.5 });
    assert.deepEqual(provenance.parameters, { epochs: 5, name: 'b=c' });
    assert.deepEqual([provenance.status, provenance.exitCode, provenance.profile], ['finished', 0, 'quick']);
    assert.deepEqual(provenance.data, [{ name: 'shapes', checksum: 'sha256:1' }]);
    assert.ok(provenance.peakMemoryBytes! > 50e6 && provenance.seconds! > 0);
    assert.equal(provenance.versions['node'], process.version.slice(1));
    assert.deepEqual(records!.items, [{ kind: 'figure', name: 'bars', alt: 'One bar' }]);
    assert.equal(alive(provenance.kernelPid!), false);
    assert.match(readFileSync(path.join(dir, 'report.html'), 'utf8'), /<h1>Good<\/h1>[\s\S]*✓ finished/);
    const xml = readFileSync(junit, 'utf8');
    assert.match(xml, /tests="6" failures="0"/);
  });

  it('stops at the first cell that fails: 1', async () => {
    const file = notebook('bad', ["console.log('first')", "throw new Error('boom')", "console.log('never')"]);
    const [dir, junit] = [place('bad-run'), place('bad.xml')];
    const { code, stdout } = await cli(['run', file, '--out', dir, '--junit', junit]);
    assert.equal(code, 1);
    assert.match(stdout, /bad: failed.*\n {2}Cell 2 failed: Error: boom/);
    assert.deepEqual(textOf(dir), ['first\n', '', '']);
    assert.equal(executed(dir).cells[1]!.outputs![0]!.ename, 'Error');
    const { provenance } = readRun(dir);
    assert.deepEqual(
      [provenance.status, provenance.exitCode, provenance.error],
      ['failed', 1, 'Cell 2 failed: Error: boom'],
    );
    assert.match(readFileSync(junit, 'utf8'), /tests="3" failures="1" errors="0" skipped="1"/);
  });

  it('goes on after a cell that is meant to raise', async () => {
    const cells = [{ source: "throw new Error('meant')", tags: ['raises-exception'] }, "console.log('after')"];
    const { code } = await cli(['run', notebook('raises', cells), '--out', place('raises-run')]);
    assert.deepEqual([code, textOf(place('raises-run'))[1]], [0, 'after\n']);
  });

  it('holds metrics against their ranges: 3', async () => {
    const expects = { accuracy: { standard: { min: 0.9 } }, missing: { standard: { max: 1 } } };
    const file = notebook('low', [record({ accuracy: 0.25 })], { expects });
    const { code, stdout } = await cli(['run', file, '--out', place('low-run')]);
    assert.equal(code, 3);
    assert.match(
      stdout,
      /accuracy is 0\.25, but at least 0\.9 was expected\. missing was never recorded, but at most 1/,
    );
    const { provenance } = readRun(place('low-run'));
    assert.deepEqual([provenance.status, provenance.exitCode], ['finished', 3]);
  });

  it('ends runs and cells that take too long: 4', async () => {
    const file = notebook('slow', [SLOW, "console.log('never')"]);
    const limits = [
      ['--timeout', '20', 'slow-run'],
      ['--cell-timeout', '10', 'slow-cell'],
    ] as const;
    await Promise.all(
      limits.map(async ([option, seconds, dir]) => {
        const { code, stdout } = await cli(['run', file, option, seconds, '--out', place(dir)]);
        assert.equal(code, 4, stdout);
        assert.ok(stdout.includes(`took longer than ${seconds} s and was stopped in cell 1`), stdout);
        assert.deepEqual(textOf(place(dir)), ['begun\n', '']);
        assert.equal(readRun(place(dir)).provenance.status, 'timeout');
      }),
    );
  });

  it('tells a kernel that died: 5', async () => {
    const file = notebook('dead', ["console.log('last words'); process.exit(7)", '1']);
    const { code, stdout } = await cli(['run', file, '--out', place('dead-run')]);
    assert.equal(code, 5);
    assert.match(stdout, /Cell 1: The kernel ended with exit code 7/);
    assert.equal(textOf(place('dead-run'))[0], 'last words\n');
    assert.equal(readRun(place('dead-run')).provenance.status, 'died');
  });

  it('refuses what does not fit before anything runs: 2', async () => {
    const file = notebook('typed', [{ source: 'let epochs = 1;', tags: ['parameters'] }], { profiles: {} });
    const parameters = (name: string, text: string) => {
      writeFileSync(place(name), text);
      return place(name);
    };
    const cases: [string[], RegExp][] = [
      [['-p', 'epoch=2'], /no parameter 'epoch'.*Did you mean 'epochs'\?/],
      [['-p', 'epochs=many'], /'epochs' must be of type number/],
      [['-p', 'epochs'], /name=value/],
      [['--profile', 'quick'], /no profile 'quick'/],
      [
        ['--params', parameters('wrong.yaml', 'epochs: many')],
        /'epochs' must be of type number.*--params gives "many"/,
      ],
      [
        ['--params', parameters('unknown.json', '{"epohcs": 2}')],
        /no parameter 'epohcs' \(named in --params\).*'epochs'\?/,
      ],
      [['--params', place('missing.yaml')], /Cannot read the parameters .*missing\.yaml/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await cli(['run', file, ...args, '--out', place('typed-run')]);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
    assert.equal(existsSync(place('typed-run')), false);
  });

  it('runs several notebooks, some at a time, and tells the worst', async () => {
    const files = [
      notebook('one', ["console.log('one')"]),
      notebook('two', ["throw new Error('two')"]),
      notebook('three', ["console.log('three')"]),
    ];
    const { code, stdout } = await cli(['run', ...files, '--jobs', '2', '--out', place('many')]);
    assert.equal(code, 1, stdout);
    const statuses = ['one', 'two', 'three'].map((name) => readRun(place('many', name)).provenance.status);
    assert.deepEqual(statuses, ['finished', 'failed', 'finished']);
  });

  it('keeps what there is when interrupted, and can be resumed: 130, then 0', async () => {
    const source = `
      const fs = require('fs'), folder = process.env.VITLAB_RUN_DIR + '/checkpoints';
      fs.mkdirSync(folder, { recursive: true });
      const file = folder + '/step', from = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0;
      console.log('resume', process.env.VITLAB_RESUME, 'from', from);
      for (let step = from; step < 4; step++) {
        fs.writeFileSync(file, String(step + 1));
        if (from === 0 && step === 2) { console.log('waiting'); await new Promise((resolve) => setTimeout(resolve, 120_000)); }
      }
      ${record({ steps: 4 })}`;
    const file = notebook('long', [{ source: 'let seed = 3;', tags: ['parameters'] }, source, "console.log('end')"]);
    const dir = place('long-run');
    const running = startCli(['run', file, '-p', 'seed=5', '--out', dir]);
    await until(
      () =>
        existsSync(path.join(dir, 'checkpoints', 'step')) &&
        readFileSync(path.join(dir, 'checkpoints', 'step'), 'utf8') === '3',
      'step 3',
    );
    running.child.kill('SIGINT');
    const { code, stdout } = await running.result;
    assert.equal(code, 130, stdout);
    const first = readRun(dir).provenance;
    assert.deepEqual([first.status, first.exitCode, alive(first.kernelPid!)], ['interrupted', 130, false]);
    assert.match(textOf(dir)[2]!, /resume 0 from 0\nwaiting\n/);
    assert.ok(existsSync(path.join(dir, 'report.html')));

    const resumed = await cli(['run', file, '--resume', '--out', dir]);
    assert.equal(resumed.code, 0, resumed.stdout);
    const second = readRun(dir);
    assert.match(textOf(dir)[2]!, /resume 1 from 3\n/);
    assert.deepEqual(second.metrics, { steps: 4 });
    assert.deepEqual(second.provenance.parameters, { seed: 5 });
    assert.deepEqual(
      second.provenance.earlierAttempts.map(({ status }) => status),
      ['interrupted'],
    );

    const third = await cli(['run', file, '--resume', '--out', dir]);
    assert.equal(third.code, 0);
    assert.match(third.stdout, /finished before, nothing to resume/);
  });

  it('leaves valid files, and no kernel, when it is killed', async () => {
    const cells = Array.from({ length: 40 }, (_, i) => `console.log('${'x'.repeat(20_000)}', ${i})`);
    const file = notebook('killed', [...cells, SLOW]);
    for (const [index, delay] of [0, 40, 150, 400].entries()) {
      const dir = place(`killed-${index}`);
      const { child, said, result } = startCli(['run', file, '--out', dir]);
      await said(/cell 1 of 41/);
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      await result;
      const { provenance, metrics } = readRun(dir);
      assert.deepEqual([provenance.status, metrics], ['running', {}]);
      assert.equal(executed(dir).cells.length, 41);
      assert.equal(existsSync(path.join(dir, 'report.html')), false);
      const pid = provenance.kernelPid!;
      try {
        await until(() => !alive(pid), `kernel ${pid} ends after its runner`, 30_000);
      } finally {
        if (alive(pid)) process.kill(pid, 'SIGKILL');
      }
    }
  });
});
