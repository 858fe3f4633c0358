import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { decodeImage } from '../../src/data/index.js';
import { decodeSmallJpeg } from '../../src/data/jpeg.js';
import { Rng } from '../../src/random/index.js';

/** A picture with smooth parts and noise. */
function picture(width: number, height: number): Sharp {
  const rng = new Rng(0, 'picture', width * height);
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
    Math.round(100 + 80 * Math.sin(i / 40) + 50 * rng.uniform(0, 1)),
  );
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

const bySharp = async (jpeg: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await sharp(jpeg).removeAlpha().toColourspace('srgb').raw().toBuffer());

describe('small JPEG images', () => {
  for (const [width, height] of [
    [32, 32],
    [33, 17],
    [1, 1],
    [128, 128],
  ] as const) {
    it(`are decoded as by sharp: ${width} × ${height}`, async () => {
      for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
        for (const progressive of [false, true]) {
          for (const grey of [false, true]) {
            const source = grey ? picture(width, height).greyscale() : picture(width, height);
            const jpeg = await source.jpeg({ quality: 85, chromaSubsampling, progressive }).toBuffer();
            const image = decodeSmallJpeg(jpeg);
            assert.deepEqual(image, { data: await bySharp(jpeg), width, height });
          }
        }
      }
    });
  }

  it('are left to sharp where they are large, in CMYK, with a colour profile, or no JPEG', async () => {
    const small = picture(16, 16);
    for (const bytes of [
      await picture(129, 128).jpeg().toBuffer(),
      await small.clone().toColourspace('cmyk').jpeg().toBuffer(),
      await small.clone().withIccProfile('p3').jpeg().toBuffer(),
      await small.clone().png().toBuffer(),
      new Uint8Array(),
    ]) {
      assert.equal(decodeSmallJpeg(bytes), undefined);
    }
  });

  it('are refused where they are damaged, and those after them are decoded', async () => {
    const jpeg = await picture(32, 32).jpeg().toBuffer();
    const expected = await bySharp(jpeg);
    const rng = new Rng(0, 'damage', 0);
    for (let round = 0; round < 300; round++) {
      const damaged = Uint8Array.from(jpeg);
      for (let i = 0; i < 4; i++) damaged[rng.integer(damaged.length)] = rng.integer(256);
      const image = decodeSmallJpeg(damaged.subarray(0, round % 3 ? damaged.length : rng.integer(damaged.length)));
      if (image) assert.equal(image.data.length, 3 * image.width * image.height);
      assert.deepEqual(decodeSmallJpeg(jpeg)?.data, expected);
    }
    assert.equal(decodeSmallJpeg(jpeg.subarray(0, jpeg.length >> 1)), undefined);
    await assert.rejects(async () => decodeImage(jpeg.subarray(0, jpeg.length >> 1), 'half.jpg'), /half\.jpg/);
  });
});
