import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  float32,
  type GridInterpolation,
  interpolateEmbeddings,
  positionSimilarity,
  type ResampleOptions,
  requireMocoGrid,
  resampleGrid,
  resampleTimm,
  type TensorData,
  tensorRecord,
  toFloat32,
  zoomVpt,
} from '../../src/checkpoint/index.js';
import { CheckpointError, UsageError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';

const modes: GridInterpolation[] = ['bicubic', 'bilinear', 'nearest'];
const smooth = modes.filter((mode) => mode !== 'nearest');
const ways: ResampleOptions[] = smooth.flatMap((mode) => [
  { mode, alignCorners: true },
  { mode, antialias: true },
  { mode, antialias: false },
]);
ways.push({ mode: 'nearest' });
const near = (got: number, expected: number, message?: string) =>
  assert.ok(Math.abs(got - expected) < 1e-9, `${message ?? ''} ${got} is not ${expected}`);

function random(tokens: number, channels: number, seed = 1): TensorData {
  const rng = new Rng(seed, 'posEmbed');
  return float32(
    Array.from({ length: tokens * channels }, () => rng.normal()),
    [1, tokens, channels],
  );
}

describe('resampling a grid', () => {
  for (const way of ways) {
    const name = JSON.stringify(way);
    it(`keeps constants at every size: ${name}`, () => {
      for (const [rows, columns, newRows, newColumns] of [
        [1, 1, 3, 4],
        [4, 7, 9, 2],
        [5, 3, 1, 1],
        [8, 8, 3, 17],
      ] as const) {
        const values = new Float64Array(rows * columns * 2).fill(1.25);
        for (const value of resampleGrid(values, [rows, columns], [newRows, newColumns], 2, way)) near(value, 1.25);
      }
    });

    it(`treats rows and columns alike: ${name}`, () => {
      const rng = new Rng(2, 'grid');
      const values = Array.from({ length: 15 }, () => rng.normal());
      const turned = values.map((_, i) => values[(i % 3) * 5 + Math.floor(i / 3)]!);
      const a = resampleGrid(values, [3, 5], [4, 7], 1, way);
      const b = resampleGrid(turned, [5, 3], [7, 4], 1, way);
      for (let row = 0; row < 4; row++)
        for (let column = 0; column < 7; column++) near(a[row * 7 + column]!, b[column * 4 + row]!);
    });
  }

  it('keeps the corners where corners are aligned', () => {
    const values = [1, 2, 3, 4, 5, 6];
    for (const mode of smooth) {
      const out = resampleGrid(values, [2, 3], [5, 4], 1, { mode, alignCorners: true });
      for (const [at, expected] of [
        [0, 1],
        [3, 3],
        [16, 4],
        [19, 6],
      ] as const)
        near(out[at]!, expected);
    }
  });

  it('draws straight lines between aligned corners', () => {
    const out = resampleGrid([0, 3], [1, 2], [1, 4], 1, { mode: 'bilinear', alignCorners: true });
    for (const [i, value] of out.entries()) near(value, i);
  });

  it('gives the mean of both neighbours half-way between aligned corners', () => {
    const out = resampleGrid([1, 2, 4, 9], [2, 2], [3, 3], 1, { mode: 'bilinear', alignCorners: true });
    assert.deepEqual([...out], [1, 1.5, 2, 2.5, 4, 5.5, 4, 6.5, 9]);
  });

  it('copies the value at ⌊i · old / new⌋ in the mode nearest', () => {
    const resampled = (newLength: number) => [
      ...resampleGrid([10, 11, 12, 13], [1, 4], [1, newLength], 1, { mode: 'nearest' }),
    ];
    assert.deepEqual(resampled(6), [10, 10, 11, 12, 12, 13]);
    assert.deepEqual(resampled(2), [10, 12]);
    assert.deepEqual(resampled(4), [10, 11, 12, 13]);
  });

  it('averages whole cells when an antialiased bilinear filter halves a ramp', () => {
    const out = resampleGrid([0, 1, 2, 3, 4, 5, 6, 7], [1, 8], [1, 4], 1, { mode: 'bilinear', antialias: true });
    near(out[1]!, 2.5);
    near(out[2]!, 4.5);
  });

  it('refuses an empty grid, an unknown mode, and two ways of alignment at once', () => {
    assert.throws(() => resampleGrid([], [0, 1], [1, 1], 1, { mode: 'bilinear' }), UsageError);
    assert.throws(() => resampleGrid([1], [1, 1], [1, 1], 1, { mode: 'area' as GridInterpolation }), UsageError);
    const both = { mode: 'bicubic', antialias: true, alignCorners: true } as const;
    assert.throws(() => resampleGrid([1], [1, 1], [1, 1], 1, both), UsageError);
    for (const option of ['alignCorners', 'antialias'] as const) {
      const nearest = { mode: 'nearest', [option]: true } as const;
      assert.throws(() => resampleGrid([1], [1, 1], [1, 1], 1, nearest), {
        name: 'UsageError',
        message: new RegExp(`nearest .* no ${option}`),
      });
    }
  });
});

describe('position embeddings', () => {
  it('keeps class and register tokens and takes rectangular grids, as timm does', () => {
    const posEmbed = random(3 + 12, 4);
    const out = resampleTimm(posEmbed, { oldGrid: [3, 4], newGrid: [2, 5], prefixTokens: 3 });
    assert.deepEqual(out.shape, [1, 13, 4]);
    assert.deepEqual(out.data.slice(0, 12), posEmbed.data.slice(0, 12));
    assert.equal(resampleTimm(posEmbed, { oldGrid: [3, 4], newGrid: [3, 4], prefixTokens: 3 }), posEmbed);
  });

  it('takes every mode, nearest without antialias, as timm does', () => {
    const posEmbed = random(1 + 4, 1);
    const nearest = toFloat32(resampleTimm(posEmbed, { newGrid: [4, 4], interpolation: 'nearest' }));
    const [token, a, b, c, d] = toFloat32(posEmbed);
    const wide = (...pair: (number | undefined)[]) => pair.flatMap((value) => [value, value]);
    assert.deepEqual([...nearest], [token, ...wide(a, b), ...wide(a, b), ...wide(c, d), ...wide(c, d)]);
    const refused = { newGrid: [4, 4], interpolation: 'nearest', antialias: true } as const;
    assert.throws(() => resampleTimm(posEmbed, refused), UsageError);
    const state = { 'encoder.pos_embedding': posEmbed };
    const aligned = { imageSize: 64, patchSize: 8, interpolationMode: 'nearest' } as const;
    assert.throws(() => interpolateEmbeddings(state, aligned), UsageError);
  });

  it('resamples between grids of as many cells, and back is near for a smooth embedding', () => {
    const smooth = float32(
      Array.from({ length: 65 }, (_, i) => Math.sin((i - 1) / 20)),
      [1, 65, 1],
    );
    assert.notDeepEqual(resampleTimm(smooth, { oldGrid: [8, 8], newGrid: [4, 16] }).data, smooth.data);
    const back = resampleTimm(resampleTimm(smooth, { newGrid: [16, 16] }), { newGrid: [8, 8] });
    const error = Math.max(...toFloat32(back).map((value, i) => Math.abs(value - toFloat32(smooth)[i]!)));
    assert.ok(error < 0.1, `off by ${error}`);
  });

  it('does to a state dict what torchvision does', () => {
    const state = tensorRecord([
      ['encoder.pos_embedding', random(17, 2)],
      ['heads.head.weight', random(3, 2)],
      ['class_token', random(1, 2)],
    ]);
    const bigger = interpolateEmbeddings(state, { imageSize: 50, patchSize: 8, resetHeads: true });
    assert.deepEqual(Object.keys(bigger), ['encoder.pos_embedding', 'class_token']);
    assert.deepEqual(bigger['encoder.pos_embedding']!.shape, [1, 37, 2]);
    assert.equal(bigger['class_token'], state['class_token']);
    // Nothing happens when the length fits, not even to the heads.
    const same = interpolateEmbeddings(state, { imageSize: 32, patchSize: 8, resetHeads: true });
    assert.deepEqual(Object.keys(same), Object.keys(state));
    assert.equal(same['encoder.pos_embedding'], state['encoder.pos_embedding']);
    assert.deepEqual(state['encoder.pos_embedding']!.shape, [1, 17, 2]);
  });

  it('refuses what is not [1, N, D] or not a square, and says what is missing', () => {
    const options = { imageSize: 64, patchSize: 8 };
    const of = (tensor: TensorData) => () => interpolateEmbeddings({ 'encoder.pos_embedding': tensor }, options);
    assert.throws(() => interpolateEmbeddings({}, options), /no encoder\.pos_embedding/);
    assert.throws(of({ ...random(34, 2), shape: [2, 17, 2] }), CheckpointError);
    assert.throws(of(random(19, 2)), /18 grid positions are not a square/);
    assert.throws(() => resampleTimm(random(19, 2), { newGrid: [2, 2] }), CheckpointError);
    assert.throws(() => resampleTimm(random(17, 2), { oldGrid: [3, 4], newGrid: [2, 2] }), CheckpointError);
    assert.throws(() => zoomVpt(random(20, 2), 8), CheckpointError);
  });

  it('zooms for VPT as bilinear with aligned corners, down to one cell', () => {
    const posEmbed = random(17, 3);
    const one = toFloat32(zoomVpt(posEmbed, 1));
    assert.deepEqual(one, toFloat32(posEmbed).slice(0, 6));
  });

  it("never resamples MoCo's computed table", () => {
    const posEmbed = random(17, 4);
    assert.equal(requireMocoGrid(posEmbed, [2, 8]), posEmbed);
    assert.throws(() => requireMocoGrid(posEmbed, [5, 5]), /17 tokens.*needs 26/);
  });
});

describe('similarity of positions', () => {
  const table = float32([9, 9, 1, 0, 0, 2, 3, 3, 0, 0, -1, 0, 0, -5], [1, 7, 2]);
  const grid = [2, 3] as const;

  it('is the cosine, a map a position, without the prefix', () => {
    const maps = positionSimilarity(table, { grid }).map((map) => map.map((row) => [...row]));
    assert.equal(maps.length, 6);
    const half = Math.SQRT1_2;
    for (const [row, values] of [
      [1, 0, half],
      [0, -1, 0],
    ].entries())
      for (const [column, value] of values.entries()) near(maps[0]![row]![column]!, value, `${row}, ${column}`);
    assert.deepEqual(maps[3], [
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it('takes a square where no grid is said, and refuses what does not fill it', () => {
    assert.equal(positionSimilarity(random(9, 2), { prefixTokens: 0 }).length, 9);
    assert.throws(() => positionSimilarity(table), CheckpointError);
    assert.throws(() => positionSimilarity(table, { grid: [2, 2] }), /7 tokens is not 1 and a grid of 2 x 2/);
  });
});
