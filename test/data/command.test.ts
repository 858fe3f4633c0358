import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { describe, it, mock } from 'node:test';
import { dataCommand } from '../../src/cli/data.js';
import { golden, temporaryFolder } from './support.js';

/** Runs `data …` with the folder as $VITLAB_DATA and gives what it prints. */
async function run(root: string, ...words: string[]): Promise<string> {
  const lines: string[] = [];
  const log = mock.method(console, 'log', (text: string) => void lines.push(text));
  const before = process.env['VITLAB_DATA'];
  process.env['VITLAB_DATA'] = root;
  try {
    await dataCommand().exitOverride().parseAsync(words, { from: 'user' });
  } finally {
    log.mock.restore();
    if (before === undefined) delete process.env['VITLAB_DATA'];
    else process.env['VITLAB_DATA'] = before;
  }
  return lines.join('\n');
}

describe('vitlab data', () => {
  it('lists all data sets and whether they are here', async () => {
    const text = await run(path.join(golden, 'cifar100'), 'list');
    for (const name of ['shapes10', 'shapes100', 'cifar10', 'cub200', 'imagefolder'])
      assert.match(text, new RegExp(`^${name} `, 'm'));
    assert.match(text, /^shapes10 +built in/m);
    assert.match(text, /^cifar10 +not here/m);
    assert.match(text, /^cifar100 +here: cifar-100-python, cifar-100-python\.tar\.gz, cifar-100-binary/m);
  });

  it('verifies what can be read', async () => {
    assert.match(
      await run(golden, 'verify', 'shapes10?train=20&test=5'),
      /train: 20 images of 10 classes, sha256:[0-9a-f]{64}\n/,
    );
    const text = await run(path.join(golden, 'cub'), 'verify', 'cub200');
    assert.match(text, /train: 2 images of 3 classes.*\ntest: 4 images.*\ncub200 is right/);
    const root = temporaryFolder();
    cpSync(path.join(golden, 'cifar10', 'cifar-10-batches-bin'), path.join(root, 'cifar-10-batches-bin'), {
      recursive: true,
    });
    assert.match(await run(root, 'verify', 'cifar10'), /train: 15 images of 10 classes/);
  });

  it('says what is wrong or missing', async () => {
    await assert.rejects(run(temporaryFolder(), 'verify', 'cifar10'), /data get cifar10/);
    await assert.rejects(
      run(path.join(golden, 'cifar10'), 'verify', 'cifar10'),
      /cifar-10-python\.tar\.gz has the md5 .*expected c58f/,
    );
    await assert.rejects(run(golden, 'verify', 'cifra10'), /did you mean cifar10/);
    await assert.rejects(run(golden, 'get', 'imagefolder'), /nothing to download/);
  });
});
