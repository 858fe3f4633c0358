import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import { encodePng, imageGridFigure } from '../../src/plot/index.js';

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
