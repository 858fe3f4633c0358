import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { COMMANDS } from '../../src/cli/main.js';
import { cli, ROOT, temporaryFolder } from '../recipes/support.js';

describe('command line', () => {
  it('lists every command without loading one', async () => {
    const { code, stdout, stderr } = await cli(['--help']);
    assert.deepEqual([code, stderr], [0, '']);
    for (const [name, { summary }] of Object.entries(COMMANDS)) {
      assert.match(stdout, new RegExp(`^  ${name} +${summary.slice(0, 20).replace(/[.()]/g, '\\$&')}`, 'm'));
    }
    assert.match(stdout, /Exit status: 0 success, 1 a failed run, 2 bad usage/);
  });

  it('loads every command under its name', () => {
    for (const [name, { load }] of Object.entries(COMMANDS)) {
      const command = load();
      assert.equal(command.name(), name);
      assert.notEqual(command.description(), '');
      assert.ok(existsSync(path.join(ROOT, 'src', 'cli', `${name}.ts`)));
    }
  });

  it('says its version, from any folder', async () => {
    const folder = temporaryFolder();
    try {
      const { code, stdout } = await cli(['--version'], { cwd: folder.dir });
      assert.equal(code, 0);
      assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    } finally {
      folder.remove();
    }
  });

  it('exits with 2 and one paragraph on bad usage', async () => {
    const cases: [string[], RegExp][] = [
      [['compar'], /no command 'compar'\. Did you mean 'compare'\?/],
      [['--nonsense'], /unknown option '--nonsense'/],
      [['run'], /Name the notebooks to run, or a run folder to --check/],
      [['run', 'a.ipynb', '--jobs', '0'], /positive whole number/],
      [['run', 'a.ipynb', '--timeout', 'soon'], /positive number of seconds/],
      [['run', 'missing.ipynb'], /Cannot read the notebook missing\.ipynb/],
      [['plot', 'x', '--format', 'gif'], /Allowed choices are png, svg/],
      [['lab', '--port', '99999'], /port from 1 to 65535/],
    ];
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await cli(args);
      assert.deepEqual([args, code, stdout], [args, 2, '']);
      assert.match(stderr, message);
      assert.match(stderr, /^vitlab: [^\n]*\n$/);
    }
  });

  it('shows a stack with --debug alone', async () => {
    const { code, stderr } = await cli(['compare', '/nowhere', '--debug']);
    assert.equal(code, 1);
    assert.match(stderr, /^vitlab: \/nowhere holds no run/);
    assert.match(stderr, /\n {4}at .*runFolder\.ts/);
    assert.doesNotMatch((await cli(['compare', '/nowhere'])).stderr, /\n {4}at /);
  });

  it('has help for each command', async () => {
    for (const args of [
      ['run', '--help'],
      ['help', 'run'],
    ]) {
      const { code, stdout } = await cli(args);
      assert.equal(code, 0);
      assert.match(stdout, /--cell-timeout <seconds>[\s\S]*130 interrupted/);
    }
  });
});
