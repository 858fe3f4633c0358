import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { findCases, kinds, ParityCase, runCase } from '../../src/parity/index.js';
import { tempDir } from '../support/tempDir.js';

const root = path.join(__dirname, '..', '..');
const golden = path.join(root, 'test', 'fixtures', 'golden', 'checkpoints');
const temp = tempDir();

describe('checkpoint fixtures', () => {
  const cases = findCases(golden);

  it('covers every kind of them', () => {
    const found = new Set(cases.map((dir) => ParityCase.open(dir).spec.kind));
    for (const kind of ['pth', 'refuse-pth', 'refuse-safetensors', 'npz-vit', 'key-conversion', 'posembed-vpt']) {
      assert.ok(found.has(kind) && kind in kinds, kind);
    }
    assert.ok(cases.length >= 24);
  });

  for (const dir of cases) {
    it(path.basename(dir), async () => {
      const { passed, failures, checks } = await runCase(dir);
      assert.deepEqual(failures, []);
      assert.ok(passed && checks > 0);
    });
  }
});

/** A copy of a fixture with its case.json changed. */
function changed(name: string, change: (spec: Record<string, unknown>) => void): string {
  const dir = temp(`${name}-${fs.readdirSync(temp('.')).length}`);
  fs.cpSync(path.join(golden, name), dir, { recursive: true });
  const file = path.join(dir, 'case.json');
  const spec = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>;
  change(spec);
  fs.writeFileSync(file, JSON.stringify(spec));
  return dir;
}

describe('cases that must fail', () => {
  it('fails on an unknown kind, a broken case.json and a runner that throws', async () => {
    const unknown = await runCase(changed('posembed-vpt', (spec) => Object.assign(spec, { kind: 'constructor' })));
    assert.match(unknown.failures[0]!, /unknown kind "constructor"/);
    const broken = await runCase(changed('posembed-vpt', (spec) => Object.assign(spec, { kind: 7 })));
    assert.match(broken.failures[0]!, /case\.json/);
    const throwing = await runCase(changed('pth-list-zip', (spec) => Object.assign(spec, { files: ['nothing.pth'] })));
    assert.match(throwing.failures[0]!, /nothing\.pth/);
    assert.equal((await runCase(temp('nowhere'))).passed, false);
  });

  it('notices a wrong number, a wrong type, and a refusal that did not happen', async () => {
    const wrongItem = changed('posembed-vpt', (spec) => Object.assign(spec, { config: { items: [[4, 8]] } }));
    assert.match((await runCase(wrongItem)).failures.join(), /4to3 is expected but was never checked/);
    const swapped = changed('posembed-timm', ({ config }) => {
      (config as { items: Array<{ antialias: boolean }> }).items[1]!.antialias = false;
    });
    assert.match((await runCase(swapped)).failures.join(), /^1 is off by/);
    const accepting = changed('safetensors-edge', ({ config }) => {
      for (const entry of (config as { manifest: Array<{ must: string }> }).manifest) entry.must = 'accept';
    });
    assert.ok((await runCase(accepting)).failures.length > 30);
    const refusing = changed('pth-refuse', ({ config }) => {
      for (const entry of (config as { manifest: Array<{ must: string }> }).manifest) entry.must = 'refuse';
    });
    assert.deepEqual((await runCase(refusing)).failures, [
      'ok-control.pth was read, but must be refused',
      'ok-other-prefix.pth was read, but must be refused',
    ]);
  });
});

describe('vitlab parity', () => {
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/vitlab.cjs', 'parity', ...args], {
      cwd: root,
      encoding: 'utf8',
    });
    return { status, lines: stdout.trim().split('\n'), stderr };
  };

  it('prints one line a case and the sum, and succeeds', () => {
    const { status, lines } = run(golden, '--only', 'posembed-*');
    assert.equal(lines.at(-1), '4 passed, 0 failed');
    assert.equal(lines.length, 5);
    for (const line of lines.slice(0, -1))
      assert.match(line, /^pass {2}posembed-\w+ +largest error \S+ of its tolerance/);
    assert.equal(status, 0);
  });

  it('goes on after a failure, which it shows, and exits with 1', () => {
    const folder = temp('mixed');
    fs.cpSync(path.join(golden, 'posembed-moco'), path.join(folder, 'a', 'good'), { recursive: true });
    fs.cpSync(
      changed('posembed-moco', (spec) => Object.assign(spec, { kind: 'x' })),
      path.join(folder, 'a', 'bad'),
      {
        recursive: true,
      },
    );
    const { status, lines } = run(folder);
    assert.match(lines[0]!, /^FAIL {2}a\/bad .*unknown kind "x"/);
    assert.match(lines[1]!, /^pass {2}a\/good/);
    assert.deepEqual([lines[2], status], ['1 passed, 1 failed', 1]);
    assert.equal(run(folder, '--only', 'a/g*').lines.at(-1), '1 passed, 0 failed');
    assert.equal(run(folder, '--only', 'good').lines.at(-1), '1 passed, 0 failed');
  });

  it('says so when there is no case, with exit status 2', () => {
    const none = run(golden, '--only', 'nothing*');
    assert.deepEqual([none.status, none.stderr.includes('No fixture case matching nothing*')], [2, true]);
    assert.equal(run(temp('nowhere')).status, 2);
    assert.equal(run().status, 2);
  });
});
