// The lock files: complete, with hashes, and free of addresses, so that any registry can serve them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

const root = path.resolve(__dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const locks = readdirSync(path.join(root, 'requirements')).filter((file) => file.endsWith('.txt'));

interface LockedPackage {
  version?: string;
  link?: boolean;
  resolved?: string;
  integrity?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

describe('Python lock files', () => {
  it('are there for each variant', () => {
    assert.deepEqual(locks.sort(), [
      'lab.txt',
      'peers.txt',
      'tensorflow-arm64.txt',
      'tensorflow-cpu.txt',
      'tensorflow-gpu.txt',
    ]);
  });

  for (const lock of locks) {
    it(`${lock} pins each package with hashes and no address`, () => {
      const text = read(`requirements/${lock}`);
      assert.doesNotMatch(text, /:\/\/|--(extra-)?index|--find-links/);
      const entries = text.replaceAll('\\\n', ' ').split('\n');
      const pins = entries.filter((line) => /^[a-z0-9]/i.test(line));
      assert.ok(pins.length > 0);
      for (const pin of pins) assert.match(pin, /^[\w.-]+==[\w.]+ .*--hash=sha256:[0-9a-f]{64}/);
      const wanted = read(`requirements/${lock.replace('.txt', '.in')}`).split('\n');
      for (const line of wanted.filter((text) => text.includes('=='))) {
        assert.ok(
          pins.some((pin) => pin.startsWith(`${line} `)),
          line,
        );
      }
    });
  }

  it('name one version of TensorFlow', () => {
    const versions = locks.flatMap(
      (lock) => /^tensorflow(?:-cpu)?==(\S+)/m.exec(read(`requirements/${lock}`))?.[1] ?? [],
    );
    assert.equal(versions.length, 3);
    assert.equal(new Set(versions).size, 1);
  });
});

describe('package-lock.json', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> };

  it('holds hashes and no address of a registry', () => {
    for (const [name, locked] of Object.entries(packages)) {
      if (!name.includes('node_modules/')) continue;
      assert.doesNotMatch(locked.resolved ?? '', /:\/\//, name);
      if (locked.link !== true) assert.match(locked.integrity ?? '', /^sha512-/, name);
    }
  });

  it('holds whatever its packages depend on, for every platform', () => {
    const names = new Set(Object.keys(packages).map((key) => key.slice(key.lastIndexOf('node_modules/') + 13)));
    for (const [name, locked] of Object.entries(packages)) {
      for (const wanted of Object.keys({ ...locked.dependencies, ...locked.optionalDependencies })) {
        assert.ok(names.has(wanted), `${name || 'package.json'} depends on ${wanted}, which is not in the lock file`);
      }
    }
  });
});
