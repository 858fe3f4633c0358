import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import { encodePng, imageGridFigure, overlayHeat } from '../../src/plot/index.js';

interface Grid {
  images: { source: string; x: number; y: number }[];
  annotations: { text: string }[];
}

const decode = async (png: Buffer) => {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return { data: [...data], size: [info.width, info.height, info.channels] };
};

describe('PNG', () => {
  it('is what other programs read', async () => {
    const rgb = Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) % 256);
    assert.deepEqual(await decode(encodePng(rgb, 5, 3)), { data: [...rgb], size: [5, 3, 3] });
  });

  it('needs three bytes a pixel', () => {
    assert.throws(() => encodePng(new Uint8Array(10), 2, 2), { name: 'ShapeError', message: /2 × 2 has 12 bytes.*10/ });
  });
});

describe('image grid', () => {
  const tile = (pixels: Float32Array | Uint8Array, label?: string) => ({
    pixels,
    width: 2,
    height: 1,
    ...(label && { label }),
  });
  const layoutOf = (figure: { layout: unknown }) => figure.layout as Grid;
  const pixelsOf = async (source: string) => {
    const { data, size } = await decode(Buffer.from(source.split(',')[1]!, 'base64'));
    const row = data.slice(0, size[0]! * 3);
    return [row.slice(0, 3), row.slice(-3)];
  };

  it('scales floats of a range to bytes, clips, and enlarges with hard edges', async () => {
    const figure = imageGridFigure([tile(Float32Array.of(-1, 0, 1, 2, -3, 0.5))], { range: [-1, 1] });
    assert.deepEqual(await pixelsOf(layoutOf(figure).images[0]!.source), [
      [0, 128, 255],
      [255, 0, 191],
    ]);
  });

  it('takes bytes as they are', async () => {
    const figure = imageGridFigure([tile(Uint8Array.of(1, 2, 3, 4, 5, 6))]);
    assert.deepEqual(await pixelsOf(layoutOf(figure).images[0]!.source), [
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  it('sets tiles in rows with escaped labels', () => {
    const tiles = ['a', 'b', '<c>'].map((label) => tile(new Uint8Array(6), label));
    const { images, annotations } = layoutOf(imageGridFigure(tiles, { columns: 2 }));
    assert.deepEqual(
      annotations.map(({ text }) => text),
      ['a', 'b', '&lt;c&gt;'],
    );
    assert.deepEqual([images[0]!.y === images[1]!.y, images[0]!.x === images[2]!.x], [true, true]);
    assert.ok(images[2]!.y > images[0]!.y && images[1]!.x > images[0]!.x);
  });

  it('refuses sizes that differ, wrong numbers of values, and nothing', () => {
    const wide = { pixels: new Uint8Array(9), width: 3, height: 1 };
    assert.throws(() => imageGridFigure([tile(new Uint8Array(6)), wide]), {
      name: 'ShapeError',
      message: /Image 1 is 3 × 1/,
    });
    assert.throws(() => imageGridFigure([tile(new Uint8Array(5))]), /\[1, 2, 3\] has 6 values, but got 5/);
    assert.throws(() => imageGridFigure([]), /at least one image/);
  });
});

describe('heat over an image', () => {
  const white = (height: number, width: number) => ({
    pixels: new Uint8Array(height * width * 3).fill(255),
    height,
    width,
  });
  const rgb = ({ pixels }: { pixels: ArrayLike<number> }) =>
    Array.from({ length: pixels.length / 3 }, (_, i) => Array.from({ length: 3 }, (_, c) => pixels[3 * i + c]!));

  it('is enlarged bilinearly and gets brighter with the value', () => {
    const { pixels } = overlayHeat(white(4, 4), { values: [0, 1, 0, 1], height: 2, width: 2 }, { opacity: 1 });
    const rows = rgb({ pixels });
    const sums = rows.map((color) => color.reduce((a, b) => a + b, 0));
    assert.ok(sums[0]! < sums[1]! && sums[1]! < sums[2]! && sums[2]! < sums[3]!, `${sums.slice(0, 4)}`);
    assert.deepEqual(rows.slice(0, 4), rows.slice(12), 'every row of the grid is the same');
    assert.deepEqual(
      [rows[0], rows[3]],
      [
        [8, 5, 29],
        [252, 255, 164],
      ],
    );
  });

  it('shows the grey image through, as much as it is let', () => {
    const red = { pixels: Uint8Array.of(255, 0, 0), height: 1, width: 1, label: 'red' };
    const heat = { values: [1], height: 1, width: 1 };
    assert.deepEqual([...overlayHeat(red, heat, { opacity: 0 }).pixels], [76, 76, 76]);
    assert.deepEqual(
      [...overlayHeat(red, heat, { opacity: 0.5, heatRange: [0, 1] }).pixels],
      [(76.245 + 252) / 2, (76.245 + 255) / 2, (76.245 + 164) / 2].map(Math.round),
    );
    assert.equal(overlayHeat(red, heat).label, 'red');
  });

  it('scales by the range that it is given, clips, and bears equal and missing values', () => {
    const at = (value: number) =>
      rgb(overlayHeat(white(1, 1), { values: [value], height: 1, width: 1 }, { opacity: 1, heatRange: [0, 2] }))[0];
    assert.deepEqual(
      [at(-1), at(1), at(5)],
      [
        [8, 5, 29],
        [187, 55, 84],
        [252, 255, 164],
      ],
    );
    assert.deepEqual(at(Number.NaN), [8, 5, 29]);
    assert.deepEqual(
      rgb(overlayHeat(white(1, 1), { values: [3], height: 1, width: 1 }, { opacity: 1 }))[0],
      [8, 5, 29],
    );
  });

  it('needs as many values as the grid has cells, and a whole image', () => {
    assert.throws(() => overlayHeat(white(2, 2), { values: [1, 2, 3], height: 2, width: 2 }), {
      name: 'ShapeError',
      message: /2 × 2 has 4 values, but got 3/,
    });
    const cut = { ...white(2, 2), pixels: new Uint8Array(5) };
    assert.throws(() => overlayHeat(cut, { values: [1], height: 1, width: 1 }), /\[2, 2, 3\] has 12 values, but got 5/);
  });

  it('has a colour bar beside the grid where one is asked for', () => {
    const tile = white(1, 1);
    const bar = (figure: { data: unknown[] }) => (figure.data[0] as { marker: Record<string, unknown> }).marker;
    const marker = bar(imageGridFigure([tile], { colorbar: { label: 'attention', range: [0, 0.1] } }));
    assert.deepEqual([marker['cmin'], marker['cmax'], marker['showscale']], [0, 0.1, true]);
    assert.equal(bar(imageGridFigure([tile]))['showscale'], undefined);
  });
});
