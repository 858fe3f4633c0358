import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { extractArchive, tarEntries } from '../../src/data/index.js';
import { DataError } from '../../src/errors.js';
import { type TarItem, tar, temporaryFolder, writeTarGz } from './support.js';

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function list(bytes: Uint8Array, size = 1000): Promise<[string, string, string][]> {
  const entries: [string, string, string][] = [];
  for await (const { name, kind, body } of tarEntries(inPieces(bytes, size))) {
    const pieces: Uint8Array[] = [];
    for await (const piece of body) pieces.push(piece);
    entries.push([name, kind, Buffer.concat(pieces).toString()]);
  }
  return entries;
}

describe('tar archives', () => {
  const items: TarItem[] = [
    { name: 'a/', type: '5' },
    { name: 'a/one.txt', contents: 'one' },
    { name: 'a/block', contents: 'x'.repeat(512) },
    { name: 'a/empty' },
  ];

  it('are read whatever pieces they arrive in', async () => {
    const wanted = [
      ['a/', 'folder', ''],
      ['a/one.txt', 'file', 'one'],
      ['a/block', 'file', 'x'.repeat(512)],
      ['a/empty', 'file', ''],
    ];
    for (const size of [1, 7, 512, 10_000]) assert.deepEqual(await list(tar(items), size), wanted);
  });

  it('pass over contents that nobody reads', async () => {
    const names: string[] = [];
    for await (const { name } of tarEntries(inPieces(tar(items), 100))) names.push(name);
    assert.deepEqual(names, ['a/', 'a/one.txt', 'a/block', 'a/empty']);
  });

  it('have long names in GNU and pax form', async () => {
    const long = `deep/${'n'.repeat(200)}.txt`;
    const record = ` path=${long}\n`;
    const length = record.length + 3;
    assert.deepEqual(
      await list(
        tar([
          { name: 'L', type: 'L', contents: `${long}\0` },
          { name: 'cut', contents: 'gnu' },
        ]),
      ),
      [[long, 'file', 'gnu']],
    );
    assert.deepEqual(
      await list(
        tar([
          { name: 'p', type: 'x', contents: `${length}${record}` },
          { name: 'cut', contents: 'pax' },
          { name: 'next' },
        ]),
      ),
      [
        [long, 'file', 'pax'],
        ['next', 'file', ''],
      ],
    );
  });

  it('are refused when damaged or cut off', async () => {
    const whole = tar(items);
    const wrong = Buffer.from(whole);
    wrong[3] = 90;
    await assert.rejects(list(wrong), /wrong checksum/);
    for (const length of [100, 700, 1100, 1600])
      await assert.rejects(list(whole.subarray(0, length)), DataError, `${length}`);
    await assert.rejects(list(tar([{ name: 'p', type: 'x', contents: '9999 path=x\n' }])), /pax header/);
  });
});

describe('unpacking', () => {
  it('writes files and folders, and only when all is there', async () => {
    const folder = temporaryFolder();
    const file = writeTarGz(folder, 'a.tar.gz', [
      { name: 'set/x/one.txt', contents: 'one' },
      { name: './set/two.txt', contents: 'two' },
      { name: 'beside.txt', contents: 'no part of it' },
    ]);
    const target = path.join(folder, 'set');
    await extractArchive(file, target, { inner: 'set' });
    assert.equal(readFileSync(path.join(target, 'x', 'one.txt'), 'utf8'), 'one');
    assert.deepEqual(readdirSync(target).sort(), ['two.txt', 'x']);
    await extractArchive(file, path.join(folder, 'all'));
    assert.deepEqual(readdirSync(path.join(folder, 'all')).sort(), ['beside.txt', 'set']);
  });

  const hostile: [string, TarItem[]][] = [
    ['a parent folder', [{ name: '../escaped', contents: 'x' }]],
    ['a parent folder within', [{ name: 'a/../../escaped', contents: 'x' }]],
    ['an absolute path', [{ name: '/tmp/escaped', contents: 'x' }]],
    ['a backslash', [{ name: '..\\escaped', contents: 'x' }]],
    [
      'a symbolic link',
      [
        { name: 'link', type: '2', link: '/etc' },
        { name: 'link/escaped', contents: 'x' },
      ],
    ],
    ['a hard link', [{ name: 'link', type: '1', link: '/etc/passwd' }]],
    ['a device', [{ name: 'null', type: '3' }]],
    [
      'the same file twice',
      [
        { name: 'a', contents: '1' },
        { name: 'a', contents: '2' },
      ],
    ],
  ];
  for (const [what, items] of hostile) {
    it(`refuses ${what} and leaves nothing behind`, async () => {
      const folder = temporaryFolder();
      const file = writeTarGz(folder, 'bad.tar.gz', [{ name: 'good', contents: 'good' }, ...items]);
      await assert.rejects(extractArchive(file, path.join(folder, 'out')));
      assert.deepEqual(readdirSync(folder), ['bad.tar.gz']);
      assert.ok(!existsSync(path.join(folder, '..', 'escaped')) && !existsSync('/tmp/escaped'));
    });
  }

  it('refuses more bytes than allowed, and a file that is cut off', async () => {
    const folder = temporaryFolder();
    const file = writeTarGz(folder, 'large.tgz', [{ name: 'zeros', contents: Buffer.alloc(100_000) }]);
    await assert.rejects(
      extractArchive(file, path.join(folder, 'out'), { maxBytes: 50_000 }),
      /more than the 50000 bytes/,
    );
    truncateSync(file, 60);
    await assert.rejects(
      extractArchive(file, path.join(folder, 'out')),
      (error) => error instanceof DataError && error.message.includes(file),
    );
    writeFileSync(file, 'no gzip');
    await assert.rejects(extractArchive(file, path.join(folder, 'out')), DataError);
    assert.deepEqual(readdirSync(folder), ['large.tgz']);
  });
});
