// .ci/run with fake tools: what it installs on a bare machine, and that no failing part goes unnoticed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

const root = path.resolve(__dirname, '../..');
const bare = ['dirname', 'mktemp', 'tail', 'rm', 'env'];
const whole = ['python3', 'c++', 'git', 'chromium', 'dpkg'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'vitlab-ci-'));
  cpSync(path.join(root, '.ci/run'), path.join(folder, '.ci/run'));
  for (const tool of bare) fakeTool(tool, `exec ${which(tool)} "$@"`);
  fakeTool('node', `exec ${process.execPath} "$@"`);
  fakeTool('id', 'echo 1000');
  fakeTool(
    'npm',
    `echo "$CI $*"
case "$*" in
  *notebooks:check) exit $FAKE_NOTEBOOKS ;;
  *docs) exit $FAKE_REFERENCE ;;
esac
echo "3 passed, $FAKE_FAILED failed"
[ "$FAKE_FAILED" = 0 ]`,
  );
  script('setup.mjs', 'process.exitCode = Number(process.env.FAKE_SETUP ?? 0);');
  script('node_modules/typescript/bin/tsc', 'process.exitCode = Number(process.env.FAKE_TYPES ?? 0);');
  script(
    'node_modules/@tslab/typescript-for-tslab/lib/tsc.js',
    'process.exitCode = Number(process.env.FAKE_KERNEL_TYPES ?? 0);',
  );
  file('node_modules/.bin/biome', '#!/bin/sh\nexit $FAKE_LINT\n');
});
afterEach(() => rmSync(folder, { recursive: true }));

function which(tool: string): string {
  return ['/usr/bin', '/bin'].map((place) => path.join(place, tool)).find((place) => existsSync(place))!;
}

function file(name: string, content: string): void {
  const place = path.join(folder, name);
  mkdirSync(path.dirname(place), { recursive: true });
  writeFileSync(place, content);
  chmodSync(place, 0o755);
}

const script = (name: string, content: string) => file(name, `${content}\n`);
const fakeTool = (name: string, content: string) => file(`bin/${name}`, `#!/bin/sh\n${content}\n`);

function ci(env: Record<string, string> = {}) {
  const { status, stdout } = spawnSync(which('bash'), [path.join(folder, '.ci/run')], {
    env: {
      PATH: path.join(folder, 'bin'),
      FAKE_FAILED: '0',
      FAKE_LINT: '0',
      FAKE_NOTEBOOKS: '0',
      FAKE_REFERENCE: '0',
      ...env,
    },
    encoding: 'utf8',
  });
  return { status, lines: stdout.trimEnd().split('\n') };
}

describe('.ci/run', () => {
  it('installs what a bare machine lacks, as administrator, after an update of the lists', () => {
    fakeTool('sudo', `echo "$@" >> ${folder}/asked`);
    const { status } = ci();
    const asked = readFileSync(path.join(folder, 'asked'), 'utf8').trim().split('\n');
    assert.equal(asked.length, 2);
    assert.match(asked[0]!, /apt-get .*update$/);
    assert.match(asked[1]!, /install -y .* python3 python3-venv g\+\+ git chromium libvulkan1 fonts-dejavu-core$/);
    assert.equal(status, 0);
  });

  it('stops where that fails', () => {
    fakeTool('sudo', 'echo no network; exit 100');
    assert.deepEqual(ci(), {
      status: 1,
      lines: ['== System packages: python3 python3-venv g++ git chromium libvulkan1 fonts-dejavu-core', 'no network'],
    });
  });

  it('installs nothing where all is there, and ends with the count of the tests', () => {
    for (const tool of whole) fakeTool(tool, 'exit 0');
    const { status, lines } = ci();
    assert.equal(status, 0);
    assert.deepEqual(lines, [
      '== Set-up',
      '== Lint',
      '== Types',
      '== Notebooks',
      'true run --silent notebooks:check',
      '== API reference',
      'true run --silent docs',
      '== Tests',
      'true test --silent',
      '3 passed, 0 failed',
    ]);
  });

  for (const part of [
    'FAKE_LINT',
    'FAKE_TYPES',
    'FAKE_KERNEL_TYPES',
    'FAKE_NOTEBOOKS',
    'FAKE_REFERENCE',
    'FAKE_FAILED',
  ]) {
    it(`fails with ${part}, and still ends with the count of the tests`, () => {
      for (const tool of whole) fakeTool(tool, 'exit 0');
      const { status, lines } = ci({ [part]: '1' });
      assert.equal(status, 1);
      assert.match(lines.at(-1)!, /^3 passed, [01] failed$/);
    });
  }

  it('stops with the exit code of a set-up that fails', () => {
    for (const tool of whole) fakeTool(tool, 'exit 0');
    assert.deepEqual(ci({ FAKE_SETUP: '2' }), { status: 2, lines: ['== Set-up'] });
  });
});
