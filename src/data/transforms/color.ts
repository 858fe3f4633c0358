// Colour operations as Pillow does them on 8-bit RGB images (ImageEnhance, ImageOps, Blend.c, Convert.c, Filter.c).
// Each returns a new image.
import { blankImage, type Image } from '../image.js';

/** Pillow computes in C floats; where its results are cut off to whole numbers, their rounding shows. */
const { fround } = Math;

/** ITU-R 601-2 luma in fixed point. */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/** Both images weighed 1-factor : factor, in float32, cut off to 0 … 255 and truncated: PIL's `Image.blend`. */
function blend(from: Image, to: Image, factor: number): Image {
  const out = blankImage(to.height, to.width);
  const alpha = fround(factor);
  for (let i = 0; i < out.data.length; i++) {
    const base = from.data[i]!;
    const value = fround(base + fround(alpha * (to.data[i]! - base)));
    out.data[i] = Math.min(255, Math.max(0, value));
  }
  return out;
}

/** `blend` from one grey level, as a table. */
function blendTable(grey: number, factor: number): Uint8Array {
  const alpha = fround(factor);
  const table = new Uint8Array(256);
  for (let value = 0; value < 256; value++) {
    table[value] = Math.min(255, Math.max(0, fround(grey + fround(alpha * (value - grey)))));
  }
  return table;
}

/** Every value through a table of 256 entries a channel (768), or one for all (256). */
function lookUp(image: Image, table: Uint8Array): Image {
  const out = blankImage(image.height, image.width);
  const stride = table.length === 256 ? 0 : 256;
  for (let i = 0; i < out.data.length; i += 3) {
    out.data[i] = table[image.data[i]!]!;
    out.data[i + 1] = table[stride + image.data[i + 1]!]!;
    out.data[i + 2] = table[2 * stride + image.data[i + 2]!]!;
  }
  return out;
}

/** Factor 0 is black, 1 the image itself. */
export function brightness(image: Image, factor: number): Image {
  return lookUp(image, blendTable(0, factor));
}

/** Factor 0 is the mean grey level everywhere, 1 the image itself. */
export function contrast(image: Image, factor: number): Image {
  const { data } = image;
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
  const mean = Math.trunc(sum / (image.height * image.width) + 0.5);
  return lookUp(image, blendTable(mean, factor));
}

/** Factor 0 is grey, 1 the image itself. */
export function saturation(image: Image, factor: number): Image {
  return blend(grayscale(image), image, factor);
}

/** Luma in all three channels. */
export function grayscale(image: Image): Image {
  const { data } = image;
  const out = blankImage(image.height, image.width);
  for (let i = 0; i < data.length; i += 3) {
    const grey = luma(data[i]!, data[i + 1]!, data[i + 2]!);
    out.data[i] = grey;
    out.data[i + 1] = grey;
    out.data[i + 2] = grey;
  }
  return out;
}

/** Turns the hue by `factor` of the circle (-0.5 … 0.5), through Pillow's 8-bit HSV. */
export function hue(image: Image, factor: number): Image {
  const { data } = image;
  const out = blankImage(image.height, image.width);
  const shift = Math.trunc(factor * 255) & 255;
  for (let i = 0; i < data.length; i += 3) turnHue(data[i]!, data[i + 1]!, data[i + 2]!, shift, out.data, i);
  return out;
}

function turnHue(red: number, green: number, blue: number, shift: number, out: Uint8Array, at: number): void {
  const value = Math.max(red, green, blue);
  const range = value - Math.min(red, green, blue);
  if (range === 0) {
    out[at] = value;
    out[at + 1] = value;
    out[at + 2] = value;
    return;
  }
  const toRed = fround((value - red) / range);
  const toGreen = fround((value - green) / range);
  const toBlue = fround((value - blue) / range);
  const sixth = red === value ? toBlue - toGreen : green === value ? 2 + toRed - toBlue : 4 + toGreen - toRed;
  const turned = (Math.trunc(fround((fround(sixth) / 6 + 1) % 1) * 255) + shift) & 255;
  const share = fround(Math.trunc(fround(range / value) * 255) / 255);
  const sector = Math.floor((turned * 6) / 255);
  const rest = fround((turned * 6) / 255 - sector);
  const p = Math.round(value * (1 - share));
  const q = Math.round(value * (1 - share * rest));
  const t = Math.round(value * (1 - share * (1 - rest)));
  const k = sector % 6;
  out[at] = k === 0 || k === 5 ? value : k === 1 ? q : k === 4 ? t : p;
  out[at + 1] = k === 1 || k === 2 ? value : k === 0 ? t : k === 3 ? q : p;
  out[at + 2] = k === 3 || k === 4 ? value : k === 2 ? t : k === 5 ? q : p;
}

/** Inverts the values from `threshold` on. */
export function solarize(image: Image, threshold: number): Image {
  return lookUp(
    image,
    Uint8Array.from({ length: 256 }, (_, value) => (value < threshold ? value : 255 - value)),
  );
}

/** 255 minus every value. */
export function invert(image: Image): Image {
  return solarize(image, 0);
}

/** Keeps the upper `bits` bits of every value. */
export function posterize(image: Image, bits: number): Image {
  const mask = 0xff & ~(2 ** (8 - bits) - 1);
  return lookUp(
    image,
    Uint8Array.from({ length: 256 }, (_, value) => value & mask),
  );
}

/** How often each of the 256 values occurs in a channel. */
function histogram(image: Image, channel: number): Int32Array {
  const counts = new Int32Array(256);
  for (let i = channel; i < image.data.length; i += 3) counts[image.data[i]!]!++;
  return counts;
}

/** Stretches every channel to 0 … 255. */
export function autocontrast(image: Image): Image {
  const table = new Uint8Array(768);
  for (let channel = 0; channel < 3; channel++) {
    const counts = histogram(image, channel);
    const low = counts.findIndex((count) => count > 0);
    let high = 255;
    while (high > low && counts[high] === 0) high--;
    const scale = high > low ? 255 / (high - low) : 1;
    const offset = high > low ? -low * scale : 0;
    for (let value = 0; value < 256; value++) {
      table[channel * 256 + value] = Math.min(255, Math.max(0, Math.trunc(value * scale + offset)));
    }
  }
  return lookUp(image, table);
}

/** Levels the histogram of every channel. */
export function equalize(image: Image): Image {
  const table = new Uint8Array(768);
  for (let channel = 0; channel < 3; channel++) {
    const counts = histogram(image, channel);
    const present = counts.filter((count) => count > 0);
    const total = image.height * image.width;
    const step = present.length > 1 ? Math.floor((total - present[present.length - 1]!) / 255) : 0;
    let sum = Math.floor(step / 2);
    for (let value = 0; value < 256; value++) {
      table[channel * 256 + value] = step === 0 ? value : Math.min(255, Math.floor(sum / step));
      sum += counts[value]!;
    }
  }
  return lookUp(image, table);
}

/** Factor 0 is smoothed, 1 the image itself, 2 sharpened; the outermost pixels stay. */
export function sharpness(image: Image, factor: number): Image {
  return blend(smooth(image), image, factor);
}

/** PIL's SMOOTH filter: 3 × 3, weight 5 in the middle, 13 in all. */
function smooth(image: Image): Image {
  const { height, width, data } = image;
  const out: Image = { data: data.slice(), height, width };
  const row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      let sum = 4 * data[i]!;
      for (let near = i - row; near <= i + row; near += row) sum += data[near - 3]! + data[near]! + data[near + 3]!;
      out.data[i] = Math.min(255, sum / 13 + 0.5);
    }
  }
  return out;
}
