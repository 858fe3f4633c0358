// The doctor: each test is a process of its own, because each starts an engine.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Diagnosis } from '../../src/cli/doctor.js';

const root = path.resolve(__dirname, '../..');

function doctor(args: string[], env: Record<string, string> = {}) {
  const program = `require('./src/cli/doctor.ts').doctorCommand().parseAsync(${JSON.stringify(args)}, { from: 'user' })
    .catch((error) => { console.error(error.name + ': ' + error.message); process.exitCode = error.exitCode ?? 99; });`;
  const { VITLAB_ENGINE: _engine, VITLAB_DATA: _data, ...clean } = process.env;
  return spawnSync(process.execPath, ['--import', 'tsx', '-e', program], {
    cwd: root,
    env: { ...clean, ...env },
    encoding: 'utf8',
  });
}

describe('vitlab doctor', () => {
  it('shows engine, versions and machine, a line each', () => {
    const { status, stdout, stderr } = doctor([]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^engine +tensorflow 2\.21\.0 on /m);
    assert.match(stdout, new RegExp(`^node +${process.versions.node.replaceAll('.', '\\.')}$`, 'm'));
    assert.match(stdout, /^tensorflow +2\.21\.0$/m);
    assert.match(stdout, /^jupyterlab +\d+\.\d+\.\d+$/m);
    assert.match(stdout, /^processor +\S.*, \d+ cores$/m);
    assert.match(stdout, /^NVIDIA driver +(no|yes \(.+\))$/m);
    assert.match(stdout, /^ {2}shapes10 +embedded$/m);
  });

  it('says the same as JSON, of the engine and the data folder that the environment names', () => {
    const data = mkdtempSync(path.join(tmpdir(), 'vitlab-doctor-'));
    try {
      mkdirSync(path.join(data, 'cifar-10-batches-py'));
      writeFileSync(path.join(data, 'cifar-100-python.tar.gz'), '');
      const { status, stdout, stderr } = doctor(['--json'], { VITLAB_ENGINE: 'cpu', VITLAB_DATA: data });
      assert.equal(status, 0, stderr);
      const diagnosis = JSON.parse(stdout) as Diagnosis;
      assert.equal(diagnosis.engine?.name, 'cpu');
      assert.equal(diagnosis.versions.tensorflow, null);
      assert.equal(diagnosis.versions.node, process.versions.node);
      assert.equal(diagnosis.data.root, data);
      const states = Object.fromEntries(diagnosis.data.sets.map(({ name, state }) => [name, state]));
      assert.equal(states['shapes100'], 'embedded');
      assert.deepEqual([states['cifar10'], states['cifar100'], states['cub200']], ['present', 'present', 'absent']);
    } finally {
      rmSync(data, { recursive: true });
    }
  });

  it('says what could be there and how to get it, without failing for what is not needed', () => {
    const { status, stdout } = doctor([], { VITLAB_ENGINE: 'cpu', CHROMIUM: '/nowhere/chromium' });
    assert.equal(status, 0);
    assert.match(
      stdout,
      /^missing: There is no Chromium, .*; install it \(Debian, Ubuntu: .*\), or set CHROMIUM.*\.$/m,
    );
    assert.doesNotMatch(stdout, /Nothing is missing/);
  });

  it('refuses an engine that there is not', () => {
    const { status, stdout, stderr } = doctor([], { VITLAB_ENGINE: 'tensorflw' });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /^UsageError: VITLAB_ENGINE is 'tensorflw'.*Did you mean tensorflow\?/);
  });
});
