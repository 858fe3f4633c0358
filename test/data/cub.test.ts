import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { classIndices, cubJson, openDataset, readCub } from '../../src/data/index.js';
import { DataError } from '../../src/errors.js';
import { golden, temporaryFolder } from './support.js';

const root = path.join(golden, 'cub');
const project = path.join(__dirname, '..', '..');

function copy(): string {
  const folder = path.join(temporaryFolder(), 'CUB_200_2011');
  cpSync(path.join(root, 'CUB_200_2011'), folder, { recursive: true });
  return folder;
}

function script(name: string, ...words: string[]) {
  return spawnSync(process.execPath, ['--import', 'tsx', path.join(project, 'data-scripts', name), ...words], {
    encoding: 'utf8',
    cwd: project,
  });
}

describe('CUB-200-2011', () => {
  it('opens with the classes of classes.txt in both splits', async () => {
    const [train, test] = [
      await openDataset('cub200', 'train', { root }),
      await openDataset('cub200', 'test', { root }),
    ];
    assert.deepEqual(train.classes, ['001.Red_Finch', '002.Blue_Tern', '007.Grey_Gull']);
    assert.deepEqual(test.classes, train.classes);
    assert.deepEqual([train.length, test.length], [2, 4]);
    assert.deepEqual(
      Array.from({ length: 4 }, (_, i) => test.label(i)),
      [0, 0, 2, 2],
    );
    const { height, width } = await test.image(0);
    assert.deepEqual([height, width], [13, 11]);
    await assert.rejects(openDataset('cub200', 'train', { root: golden }), /data get cub200/);
  });

  it('gives the distinct ids of a split the indices from 0', () => {
    assert.deepEqual(
      [...classIndices([7, 2, 7, 30])],
      [
        [2, 0],
        [7, 1],
        [30, 2],
      ],
    );
  });

  it('joins the text files by image id', () => {
    const folder = copy();
    const labels = path.join(folder, 'image_class_labels.txt');
    const lines = readFileSync(labels, 'utf8').trimEnd().split('\n');
    writeFileSync(labels, `${lines.reverse().join('\n')}\n`);
    assert.deepEqual(readCub(folder), readCub(path.join(root, 'CUB_200_2011')));
  });

  it('writes JSON as Python does', () => {
    const images = [
      { file: 'a/é"\\☃𝄞.jpg', classId: 3, split: 'train' as const, box: undefined },
      { file: '12', classId: 1, split: 'train' as const, box: undefined },
    ];
    const { train, val } = cubJson(images);
    assert.equal(train, '{\n    "a/\\u00e9\\"\\\\\\u2603\\ud834\\udd1e.jpg": 3,\n    "12": 1\n}');
    assert.equal(val, '{}');
  });

  const damage: [string, string, (text: string) => string, RegExp][] = [
    [
      'a list that is shorter',
      'train_test_split.txt',
      (text) => text.replace(/6 0\n?$/, ''),
      /images\.txt lists 6 images, train_test_split\.txt 5/,
    ],
    ['an id that is missing', 'image_class_labels.txt', (text) => text.replace('6 7', '9 7'), /does not list image 6/],
    ['an id that comes twice', 'images.txt', (text) => text.replace(/^2 /m, '1 '), /images\.txt, line 2/],
    ['a split that is none', 'train_test_split.txt', (text) => text.replace('1 1', '1 2'), /has 2, not 0 or 1/],
    ['a class that is no number', 'image_class_labels.txt', (text) => text.replace('1 1', '1 x'), /no class number/],
  ];
  for (const [what, file, change, message] of damage) {
    it(`refuses ${what}`, () => {
      const folder = copy();
      const place = path.join(folder, file);
      writeFileSync(place, change(readFileSync(place, 'utf8')));
      assert.throws(
        () => readCub(folder),
        (error: Error) => error instanceof DataError && message.test(error.message),
      );
    });
  }
});

describe('data scripts', () => {
  it('cub-to-json writes what the fixture expects', () => {
    const out = temporaryFolder();
    const { status, stderr } = script('cub-to-json.ts', path.join(root, 'CUB_200_2011'), '--out', out);
    assert.equal(status, 0, stderr);
    for (const name of ['train.json', 'val.json']) {
      assert.equal(readFileSync(path.join(out, name), 'utf8'), readFileSync(path.join(root, name), 'utf8'));
    }
    const failed = script('cub-to-json.ts', out);
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /has no images\.txt/);
    assert.doesNotMatch(failed.stderr, /\n\s+at /);
  });

  it('export-images writes a folder that opens as the same data set', async () => {
    const out = temporaryFolder();
    const { status, stderr } = script('export-images.ts', 'shapes10?train=20&test=10', out);
    assert.equal(status, 0, stderr);
    const [drawn, written] = [
      await openDataset('shapes10?train=20', 'train'),
      await openDataset(`imagefolder:${out}`, 'train'),
    ];
    assert.deepEqual([...written.classes], [...drawn.classes].sort());
    assert.equal(written.length, 20);
    const first = written.classes.indexOf(drawn.classes[3]!);
    assert.deepEqual((await written.image(first * 2)).data, (await drawn.image(3)).data);
    assert.equal(script('export-images.ts', 'shapes10', out, '--limit', 'no').status, 2);
  });

  it('all explain themselves', () => {
    const scripts = readdirSync(path.join(project, 'data-scripts')).filter((name) => name !== 'script.ts');
    assert.deepEqual(scripts, ['cub-to-json.ts', 'export-images.ts']);
    for (const name of scripts) {
      const { status, stdout } = script(name, '--help');
      assert.equal(status, 0);
      assert.match(stdout, /^Usage: /);
    }
  });
});
