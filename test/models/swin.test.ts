// Swin's windows and what its configuration decides.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf, valueAndGradients } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import {
  relativePositionIndex,
  SWIN_ORIGINAL,
  SWIN_TORCHVISION,
  type SwinConfig,
  SwinTransformer,
  shiftMask,
} from '../../src/models/index.js';
import {
  cyclicShift,
  mergeWindows,
  padToMultiple,
  partitionWindows,
  relativePositionBias,
} from '../../src/models/swinWindows.js';

before(() => startEngine());

const TINY = { patchSize: 2, embedDim: 8, depths: [2, 2], numHeads: [2, 2], windowSize: 4, numClasses: 3 };
const tiny = (options: Partial<SwinConfig>): SwinTransformer =>
  new SwinTransformer({ ...TINY, dropPathRate: 0, ...options }).initialize(4);

describe('windows', () => {
  it('are cut row by row and put together again', () => {
    const map = tf.reshape(tf.range(0, 2 * 4 * 6 * 3), [2, 4, 6, 3]);
    const windows = partitionWindows(map, [2, 3]);
    assert.deepEqual(windows.shape, [8, 6, 3]);
    // the second window of the first image: rows 0 and 1, columns 3 to 5
    const second = tf.slice(windows, [1, 0, 0], [1, 6, 1]).dataSync();
    assert.deepEqual([...second], [9, 12, 15, 27, 30, 33]);
    assert.deepEqual([...mergeWindows(windows, [2, 3], [4, 6]).dataSync()], [...map.dataSync()]);
  });

  it('are shifted cyclically, with the gradient of the inverse', () => {
    const map = tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 2, 3, 1]);
    assert.deepEqual([...cyclicShift(map, [1, 2]).dataSync()], [6, 4, 5, 3, 1, 2]);
    assert.deepEqual([...cyclicShift(cyclicShift(map, [1, 2]), [-1, -2]).dataSync()], [1, 2, 3, 4, 5, 6]);
    assert.equal(cyclicShift(map, [2, 3]), map);
    const weights = tf.tensor4d([10, 20, 30, 40, 50, 60], [1, 2, 3, 1]);
    const { gradients } = valueAndGradients(() => tf.sum(tf.mul(cyclicShift(map, [1, 2]), weights)), [map]);
    assert.deepEqual([...gradients[0]!.dataSync()], [50, 60, 40, 20, 30, 10]);
  });

  it('are padded at the bottom and right', () => {
    assert.deepEqual(padToMultiple(tf.ones([1, 3, 4, 2]), [2, 3]).shape, [1, 4, 6, 2]);
    assert.deepEqual([...padToMultiple(tf.ones([1, 1, 1, 1]), [2, 2]).dataSync()], [1, 0, 0, 0]);
  });

  it('mask what the shift brought together', () => {
    // A 2 × 4 map, windows 2 × 2, shifted by one column: only the last window has two parts.
    const mask = shiftMask([2, 4], [2, 2], [0, 1], -100).arraySync() as number[][][];
    assert.ok(mask[0]!.flat().every((value) => value === 0));
    assert.deepEqual(mask[1], [
      [0, -100, 0, -100],
      [-100, 0, -100, 0],
      [0, -100, 0, -100],
      [-100, 0, -100, 0],
    ]);
  });

  it('index relative positions, rows before columns', () => {
    assert.deepEqual([...relativePositionIndex([1, 3])], [2, 1, 0, 3, 2, 1, 4, 3, 2]);
    const index = relativePositionIndex([2, 2]);
    assert.deepEqual([...index.slice(0, 4)], [4, 3, 1, 0]);
  });

  it('add up the gradient of the bias of a relative position', () => {
    const table = tf.variable(tf.tensor2d([[1], [2], [3]]));
    assert.deepEqual(relativePositionBias(table, [1, 2]).arraySync(), [
      [
        [2, 1],
        [3, 2],
      ],
    ]);
    const weights = tf.tensor3d([
      [
        [1, 10],
        [100, 1000],
      ],
    ]);
    const { gradients } = valueAndGradients(
      () => tf.sum(tf.mul(relativePositionBias(table, [1, 2]), weights)),
      [table],
    );
    assert.deepEqual([...gradients[0]!.dataSync()], [10, 1001, 100]);
  });
});

describe('SwinTransformer', () => {
  it('fits windows to small maps only where asked', () => {
    const rows = (model: SwinTransformer): number[] =>
      [...model.namedParameters()].filter(([name]) => name.endsWith('bias_table')).map(([, { shape }]) => shape[0]!);
    assert.deepEqual(rows(tiny({ imgSize: [12, 8] })), [49, 49, 15, 15]);
    assert.deepEqual(rows(tiny(SWIN_TORCHVISION)), [49, 49, 49, 49]);
    assert.deepEqual(rows(tiny(SWIN_ORIGINAL)), [49, 49, 49, 49]);
  });

  it('gives maps of ⌈H/2⌉ × ⌈W/2⌉ after each stage, for images of any size', () => {
    const model = tiny({ ...SWIN_ORIGINAL, stageNorms: true });
    const maps = model.forwardStages(tf.randomNormal([1, 21, 10, 3], 0, 1, 'float32', 1));
    assert.deepEqual(
      maps.map(({ shape }) => shape),
      [
        [1, 11, 5, 8],
        [1, 6, 3, 16],
      ],
    );
    const names = [...model.namedParameters()].map(([name]) => name).filter((name) => /^norm/.test(name));
    assert.deepEqual(names, ['norm0.weight', 'norm0.bias', 'norm1.weight', 'norm1.bias']);
    assert.deepEqual(tiny(SWIN_TORCHVISION).forward(tf.zeros([2, 21, 10, 3])).shape, [2, 3]);
  });

  it('does not mix what lies in other windows of an unshifted block', () => {
    const model = tiny({ imgSize: 16, depths: [1], numHeads: [2] });
    const image = tf.randomNormal([1, 16, 16, 3], 0, 1, 'float32', 1);
    const changed = tf.add(
      image,
      tf.pad(tf.ones([1, 2, 2, 3]), [
        [0, 0],
        [14, 0],
        [14, 0],
        [0, 0],
      ]),
    );
    const [before, after] = [image, changed].map((images) => model.forwardStages(images)[0]!);
    const difference = tf.sum(tf.abs(tf.sub(before!, after!)), [0, 3]).arraySync() as number[][];
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 8; j++) assert.equal(difference[i]![j]! > 0, i >= 4 && j >= 4, `[${i}, ${j}]`);
    }
  });

  it('refuses what contradicts itself and images of another size', () => {
    assert.throws(() => tiny({ imgSize: undefined }), UsageError);
    assert.throws(() => tiny({ numHeads: [3, 2] }), /no multiple of 3 heads/);
    assert.throws(() => tiny({ depths: [2] }), UsageError);
    assert.throws(() => tiny({ imgSize: 1 }), ShapeError);
    assert.throws(() => tiny({ imgSize: 16 }).forward(tf.zeros([1, 16, 18, 3])), ShapeError);
    assert.throws(() => tiny(SWIN_TORCHVISION).forward(tf.zeros([1, 1, 18, 3])), ShapeError);
  });
});
