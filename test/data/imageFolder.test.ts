import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import {
  contentChecksum,
  type Dataset,
  decodeImage,
  openDataset,
  readImage,
  type Split,
} from '../../src/data/index.js';
import { DataError, UsageError } from '../../src/errors.js';
import { randomImage, temporaryFolder, writeImageFolder } from './support.js';

describe('image folders', () => {
  const root = temporaryFolder();

  it('list classes and images in order', async () => {
    await writeImageFolder(root, ['dog', 'cat', 'ant'], { train: 3, test: 2 });
    const train = await openDataset(`imagefolder:${root}`, 'train');
    assert.deepEqual([train.classes, train.length], [['ant', 'cat', 'dog'], 9]);
    assert.deepEqual(
      Array.from({ length: 9 }, (_, i) => train.label(i)),
      [0, 0, 0, 1, 1, 1, 2, 2, 2],
    );
    assert.equal((await openDataset(`imagefolder:${root}`, 'test')).length, 6);
    // cat's first training image was the fourth written
    assert.deepEqual((await train.image(3)).data, randomImage(8, 8, 3).data);
  });

  it('keep the order of classes that are asked for', async () => {
    const some = await openDataset(`imagefolder:${root}?classes=dog,ant`, 'train');
    assert.deepEqual([some.classes, some.length], [['dog', 'ant'], 6]);
    assert.deepEqual((await some.image(0)).data, randomImage(8, 8, 0).data);
    assert.notEqual(
      some.description.checksum,
      (await openDataset(`imagefolder:${root}?classes=ant,dog`, 'train')).description.checksum,
    );
    await assert.rejects(openDataset(`imagefolder:${root}?classes=dgo`, 'train'), /did you mean dog/);
    await assert.rejects(openDataset(`imagefolder:${root}?classes=dog,dog`, 'train'), UsageError);
  });

  it('take the first images of each class up to a limit', async () => {
    const folder = temporaryFolder();
    await writeImageFolder(folder, ['ant', 'cat', 'dog'], { train: 4, test: 2 });
    for (const file of ['001.png', '002.png', '003.png']) rmSync(path.join(folder, 'train', 'ant', file));
    const open = (parameters: string, split: Split = 'train') =>
      openDataset(`imagefolder:${folder}${parameters}`, split);
    const labelsOf = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.label(i));
    assert.deepEqual(labelsOf(await open('?train=4')), [0, 1, 1, 2]);
    // the one ant there is, and the others in turn
    const most = await open('?train=6&test=3');
    assert.deepEqual(labelsOf(most), [0, 1, 1, 1, 2, 2]);
    assert.deepEqual((await most.image(4)).data, randomImage(8, 8, 8).data, "the dog's first image");
    assert.deepEqual(labelsOf(await open('?train=6&test=3', 'test')), [0, 1, 2]);
    assert.equal((await open('?train=100')).length, 9, 'a limit, not a demand');
    const checksums = await Promise.all(
      ['', '?train=4', '?train=6'].map(async (text) => (await open(text)).description),
    );
    assert.equal(new Set(checksums.map(({ checksum }) => checksum)).size, 3);
    const again = await openDataset(most.description.spec, 'train');
    assert.deepEqual(again.description, most.description);
  });

  it('refuse a limit that leaves a class without images', async () => {
    await assert.rejects(
      openDataset(`imagefolder:${root}?train=2`, 'train'),
      /train must be a whole number from 3, got 2/,
    );
    await assert.rejects(openDataset(`imagefolder:${root}?train=many`, 'train'), UsageError);
    await assert.rejects(openDataset(`imagefolder:${root}?limit=5`, 'train'), /takes classes, train, test/);
  });

  it('open again from their description, wherever the process is', async () => {
    const relative = path.relative(process.cwd(), root);
    const { description } = await openDataset(`imagefolder:${relative}?classes=dog,ant`, 'test');
    const again = await openDataset(description.spec, description.split, { root: description.root });
    assert.deepEqual(again.description, description);
    assert.ok(description.spec.includes(root));
  });

  it('say what is missing', async () => {
    await assert.rejects(openDataset('imagefolder:', 'train'), UsageError);
    await assert.rejects(openDataset(`imagefolder:${root}/none`, 'train'), DataError);
    const empty = path.join(root, 'empty');
    mkdirSync(path.join(empty, 'train', 'cat'), { recursive: true });
    await assert.rejects(openDataset(`imagefolder:${empty}`, 'train'), /cat holds no/);
  });

  it('have a checksum of their contents', async () => {
    const dataset = await openDataset(`imagefolder:${root}`, 'test');
    const before = await contentChecksum(dataset);
    assert.equal(await contentChecksum(dataset), before);
    const file = (name: string) => path.join(root, 'test', 'ant', name);
    renameSync(file('000.png'), file('002.png'));
    assert.notEqual(await contentChecksum(await openDataset(`imagefolder:${root}`, 'test')), before);
  });
});

describe('decoding', () => {
  const raw = { raw: { width: 5, height: 4, channels: 3 as const } };
  const { data } = randomImage(4, 5, 1);

  it('gives RGB for grey, alpha and 16-bit images', async () => {
    const grey = await sharp(data, raw).toColourspace('b-w').png().toBuffer();
    const alpha = await sharp(data, raw).ensureAlpha(0.5).png().toBuffer();
    const deep = await sharp(data, raw).toColourspace('rgb16').png().toBuffer();
    assert.equal((await sharp(grey).metadata()).channels, 1);
    const fromGrey = await decodeImage(grey, 'grey');
    assert.deepEqual([fromGrey.height, fromGrey.width, fromGrey.data.length], [4, 5, 60]);
    assert.ok(fromGrey.data[0] === fromGrey.data[1] && fromGrey.data[1] === fromGrey.data[2]);
    assert.deepEqual((await decodeImage(alpha, 'alpha')).data, data);
    assert.equal((await sharp(deep).metadata()).depth, 'ushort');
    assert.deepEqual((await decodeImage(deep, 'deep')).data, data);
  });

  it('names a file that is damaged, cut off, empty or missing', async () => {
    const folder = temporaryFolder();
    const large = randomImage(64, 64, 2);
    const jpeg = await sharp(large.data, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    const files = {
      'cut.jpg': jpeg.subarray(0, jpeg.length / 2),
      'text.jpg': Buffer.from('no image'),
      'empty.png': Buffer.alloc(0),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const file = path.join(folder, name);
      writeFileSync(file, bytes);
      await assert.rejects(
        async () => readImage(file),
        (error) => error instanceof DataError && error.message.includes(file),
        name,
      );
    }
    await assert.rejects(async () => readImage(path.join(folder, 'none.png')), /none\.png/);
    assert.equal((await decodeImage(jpeg, 'whole')).data.length, 64 * 64 * 3);
  });
});
