import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { augmentations, contentChecksum, openDataset, readCifar } from '../../src/data/index.js';
import { DataError, UsageError } from '../../src/errors.js';
import { golden, loaderDigest, temporaryFolder } from './support.js';

const ten = path.join(golden, 'cifar10');
const hundred = path.join(golden, 'cifar100');

/** A copy of a version that a test may damage. */
function copy(source: string, folder: string): string {
  const target = path.join(temporaryFolder(), folder);
  cpSync(path.join(source, folder), target, { recursive: true });
  return target;
}

describe('CIFAR', () => {
  it('is the same from all versions', async () => {
    const places = ['cifar-10-batches-py', 'cifar-10-batches-bin', 'cifar-10-python.tar.gz', 'cifar-10-binary.tar.gz'];
    const read = await Promise.all(places.map((place) => readCifar('cifar10', path.join(ten, place), 'train')));
    for (const data of read.slice(1)) assert.deepEqual(data, read[0]);
    assert.deepEqual([read[0]!.classes[9], read[0]!.labels.length, read[0]!.coarse], ['truck', 15, undefined]);
    const fine = await readCifar('cifar100', path.join(hundred, 'cifar-100-python'), 'test');
    assert.deepEqual(await readCifar('cifar100', path.join(hundred, 'cifar-100-binary'), 'test'), fine);
    assert.deepEqual([fine.coarse?.length, fine.classes.length], [6, 100]);
  });

  it('opens as a data set and loads in workers', async () => {
    const dataset = await openDataset('cifar10', 'train', { root: ten });
    assert.deepEqual([dataset.name, dataset.length, dataset.description.root], ['cifar10', 15, ten]);
    const options = { batchSize: 4, transforms: augmentations.adaptformer(), shuffle: true, seed: 1 };
    const inline = await loaderDigest(dataset, { ...options, workers: 0 }, [0]);
    assert.equal(await loaderDigest(dataset, { ...options, workers: 2 }, [0]), inline);
    const again = await openDataset('cifar10', 'train', { root: ten });
    assert.equal(again.description.checksum, dataset.description.checksum);
    assert.notEqual(
      await contentChecksum(dataset),
      await contentChecksum(await openDataset('cifar10', 'test', { root: ten })),
    );
  });

  it('checks the MD5 of an archive before reading it', async () => {
    const root = temporaryFolder();
    await assert.rejects(openDataset('cifar10', 'train', { root }), /vitlab data get cifar10/);
    cpSync(path.join(ten, 'cifar-10-python.tar.gz'), path.join(root, 'cifar-10-python.tar.gz'));
    await assert.rejects(
      openDataset('cifar10', 'train', { root }),
      /MD5 .*official archive c58f30108f718f92721af3b95e74349a/,
    );
  });

  it('takes no parameters', async () => {
    await assert.rejects(openDataset('cifar10?seed=1', 'train', { root: ten }), UsageError);
    await assert.rejects(openDataset('cifar', 'train'), /did you mean cifar10/);
  });
});

describe('damaged CIFAR files', () => {
  const rejects = (place: string, message: RegExp, name: 'cifar10' | 'cifar100' = 'cifar10') =>
    assert.rejects(readCifar(name, place, 'train'), (error: Error) => {
      assert.ok(error instanceof DataError, error.stack);
      assert.match(error.message, message);
      return true;
    });

  it('missing', async () => {
    const folder = copy(ten, 'cifar-10-batches-py');
    rmSync(path.join(folder, 'data_batch_4'));
    await rejects(folder, /lacks the file data_batch_4/);
    rmSync(path.join(folder, 'batches.meta'));
    await rejects(folder, /is not cifar10/);
  });

  it('cut off', async () => {
    const folder = copy(ten, 'cifar-10-batches-py');
    truncateSync(path.join(folder, 'data_batch_2'), 5000);
    await rejects(folder, /data_batch_2.*ends early/);
    const binary = copy(ten, 'cifar-10-batches-bin');
    truncateSync(path.join(binary, 'data_batch_2.bin'), 5000);
    await rejects(binary, /data_batch_2\.bin has 5000 bytes/);
    const file = copy(ten, 'cifar-10-python.tar.gz');
    truncateSync(file, 20_000);
    await rejects(file, /cifar-10-python\.tar\.gz cannot be read/);
  });

  it('asking for anything but NumPy arrays', async () => {
    const folder = copy(ten, 'cifar-10-batches-py');
    const batch = path.join(folder, 'data_batch_1');
    const marker = path.join(folder, 'ran');
    for (const [module, name] of [
      ['os', 'system'],
      ['builtins', 'eval'],
      ['numpy', 'load'],
      ['numpy.core.multiarray', 'scalar'],
    ]) {
      writeFileSync(batch, `\x80\x02}U\x04datac${module}\n${name}\n(U\x10touch '${marker}'tRs.`, 'latin1');
      await rejects(folder, new RegExp(`data_batch_1.*"${module}\\.${name}".*nothing was run`));
    }
  });

  it('holding arrays of another kind', async () => {
    const folder = copy(ten, 'cifar-10-batches-py');
    const batch = path.join(folder, 'data_batch_1');
    const whole = readFileSync(batch).toString('latin1');
    const changed: [string, string, RegExp][] = [
      ['U\x02u1', 'U\x02f4', /elements are "f4"/],
      ['M\x00\x0c', 'M\x01\x0c', /do not fill its shape/],
      ['labels', 'lavels', /no labels/],
      ['cnumpy\nndarray', 'cnumpy\ndtype\x00', /not allowed/],
    ];
    for (const [from, to, message] of changed) {
      assert.ok(whole.includes(from), from);
      writeFileSync(batch, whole.replace(from, to), 'latin1');
      await rejects(folder, message);
    }
  });

  it('with labels that do not exist', async () => {
    const folder = copy(ten, 'cifar-10-batches-bin');
    const batch = path.join(folder, 'data_batch_1.bin');
    const bytes = readFileSync(batch);
    bytes[0] = 10;
    writeFileSync(batch, bytes);
    await rejects(folder, /label of 10 or more/);
    const names = path.join(folder, 'batches.meta.txt');
    writeFileSync(names, 'airplane\n');
    await assert.rejects(readCifar('cifar10', folder, 'test'), /names 1 class, expected 10/);
  });

  it('that are another data set', async () => {
    await rejects(path.join(ten, 'cifar-10-batches-py'), /is not cifar100/, 'cifar100');
  });
});
