// The checksum of a set of files.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { filesChecksum } from '../../src/data/files/identity.js';
import { tempDir } from '../support/tempDir.js';

const KB = 1024;

describe('the identity of files', () => {
  const place = tempDir();
  const named = (...names: string[]) => names.map((name) => ({ name, file: place(name) }));
  const write = (name: string, size: number, changedAt?: number) => {
    const bytes = Buffer.alloc(size, name);
    if (changedAt !== undefined) bytes[changedAt]! ^= 1;
    writeFileSync(place(name), bytes);
  };

  it('covers names, order, sizes and every byte of small sets', () => {
    write('a', 100 * KB);
    write('b', 10);
    const files = named('a', 'b');
    const before = filesChecksum(files);
    assert.match(before, /^sha256:[0-9a-f]{64}$/);
    assert.equal(filesChecksum(files), before);
    assert.notEqual(filesChecksum(named('b', 'a')), before);
    assert.notEqual(filesChecksum([{ ...files[0]!, name: 'c' }, files[1]!]), before);
    write('a', 100 * KB, 0);
    assert.notEqual(filesChecksum(files), before);
    write('a', 100 * KB);
    assert.equal(filesChecksum(files), before);
    write('b', 11);
    assert.notEqual(filesChecksum(files), before);
  });

  it('covers sizes and the middle of large sets, and says so', () => {
    write('a', 100 * KB);
    write('b', 100 * KB);
    const files = named('a', 'b');
    const before = filesChecksum(files, 50 * KB);
    assert.match(before, /^sampled-sha256:/);
    write('b', 100 * KB, 50 * KB);
    assert.notEqual(filesChecksum(files, 50 * KB), before);
    write('b', 100 * KB, 0);
    assert.equal(filesChecksum(files, 50 * KB), before, 'not covered, as documented');
    write('b', 101 * KB);
    assert.notEqual(filesChecksum(files, 50 * KB), before);
  });

  it('reads files of large sets that are spread evenly', () => {
    const names = Array.from({ length: 6000 }, (_, i) => `spread-${i}`);
    for (const name of names) write(name, 16);
    const files = named(...names);
    const before = filesChecksum(files, 1000);
    const seen = [0, 1500, 3000, 4500, 5998].map((index) =>
      // of two neighbours one is read at least
      [index, index + 1].some((at) => {
        write(names[at]!, 16, 8);
        const moved = filesChecksum(files, 1000) !== before;
        write(names[at]!, 16);
        return moved;
      }),
    );
    assert.deepEqual(seen, [true, true, true, true, true]);
    for (const { file } of files) rmSync(file);
  });

  it('counts files that are missing', () => {
    write('there', 10);
    assert.notEqual(filesChecksum(named('there', 'missing')), filesChecksum(named('there')));
  });
});
