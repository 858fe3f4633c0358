// Crops, padding, flips and rotation, as torchvision and Pillow do them on 8-bit images. Each returns a new image.
import { ShapeError } from '../../errors.js';
import { blankImage, type Image } from '../image.js';
import { type Interpolation, pick, resize } from './resize.js';

export const PAD_MODES = ['constant', 'edge', 'reflect', 'symmetric'] as const;
export type PadMode = (typeof PAD_MODES)[number];

/** The rectangle of height × width at (top, left); what lies outside the image is `fill`. */
export function crop(image: Image, top: number, left: number, height: number, width: number, fill = 0): Image {
  const out = blankImage(height, width);
  if (fill !== 0) out.data.fill(fill);
  const x0 = Math.max(0, left);
  const x1 = Math.min(image.width, left + width);
  if (x1 <= x0) return out;
  const y0 = Math.max(0, top);
  const y1 = Math.min(image.height, top + height);
  for (let y = y0; y < y1; y++) {
    const row = y * image.width;
    out.data.set(image.data.subarray((row + x0) * 3, (row + x1) * 3), ((y - top) * width + x0 - left) * 3);
  }
  return out;
}

/** The middle of the image; a smaller image is padded with 0 first. */
export function centerCrop(image: Image, height: number, width: number): Image {
  const top = height > image.height ? -Math.floor((height - image.height) / 2) : halfEven(image.height - height);
  const left = width > image.width ? -Math.floor((width - image.width) / 2) : halfEven(image.width - width);
  return crop(image, top, left, height, width);
}

/** Python's `round(n / 2)`: halves go to the even neighbour. */
function halfEven(n: number): number {
  const floor = Math.floor(n / 2);
  return n % 2 !== 0 && floor % 2 !== 0 ? floor + 1 : floor;
}

/** Crops, then resizes: `torchvision.transforms.functional.resized_crop`. */
export function resizedCrop(
  image: Image,
  box: { top: number; left: number; height: number; width: number },
  height: number,
  width: number,
  interpolation: Interpolation = 'bilinear',
): Image {
  return resize(crop(image, box.top, box.left, box.height, box.width), height, width, interpolation);
}

/**
 * Adds a border. Padding is one number for all sides, [horizontal, vertical], or [left, top, right, bottom].
 * `reflect` mirrors without repeating the edge, `symmetric` repeats it.
 */
export function pad(image: Image, padding: number | readonly number[], mode: PadMode = 'constant', fill = 0): Image {
  const sides = typeof padding === 'number' ? [padding] : padding;
  const left = sides[0]!;
  const top = sides[1] ?? left;
  const right = sides[2] ?? left;
  const bottom = sides[3] ?? top;
  if (mode === 'constant') {
    return crop(image, -top, -left, image.height + top + bottom, image.width + left + right, fill);
  }
  return pick(image, sources(image.height, top, bottom, mode), sources(image.width, left, right, mode));
}

/** Where each position of a padded axis takes its value from. */
function sources(length: number, before: number, after: number, mode: Exclude<PadMode, 'constant'>): Int32Array {
  const most = mode === 'reflect' ? length - 1 : length;
  if (mode !== 'edge' && Math.max(before, after) > most) {
    throw new ShapeError(
      `${mode} padding of ${Math.max(before, after)} needs more than ${length} pixels on that axis.`,
    );
  }
  return Int32Array.from({ length: before + length + after }, (_, i) => {
    const position = i - before;
    if (mode === 'edge') return Math.min(length - 1, Math.max(0, position));
    const offset = mode === 'reflect' ? 0 : 1;
    if (position < 0) return -position - offset;
    return position < length ? position : 2 * length - 2 - position + offset;
  });
}

/** Mirrors left and right. */
export function horizontalFlip(image: Image): Image {
  const { height, width, data } = image;
  const out = blankImage(height, width);
  let target = 0;
  for (let y = 0; y < height; y++) {
    for (let source = ((y + 1) * width - 1) * 3, x = 0; x < width; x++, source -= 3) {
      out.data[target++] = data[source]!;
      out.data[target++] = data[source + 1]!;
      out.data[target++] = data[source + 2]!;
    }
  }
  return out;
}

/** Mirrors top and bottom. */
export function verticalFlip(image: Image): Image {
  const { height, width, data } = image;
  const out = blankImage(height, width);
  const row = width * 3;
  for (let y = 0; y < height; y++) out.data.set(data.subarray(y * row, (y + 1) * row), (height - 1 - y) * row);
  return out;
}

/**
 * Rotates counter-clockwise about the centre, nearest neighbour, same size, outside `fill`: PIL's `Image.rotate` with
 * its exact quarter turns and its 16.16 fixed-point walk.
 */
export function rotate(image: Image, degrees: number, fill = 0): Image {
  const angle = ((degrees % 360) + 360) % 360;
  if (angle === 0) return { ...image, data: image.data.slice() };
  if (angle === 180) return verticalFlip(horizontalFlip(image));
  const { height, width } = image;
  if (height === width && (angle === 90 || angle === 270)) return quarterTurn(image, angle === 90);
  const radians = (-angle * Math.PI) / 180;
  const cos = round15(Math.cos(radians));
  const sin = round15(Math.sin(radians));
  const shiftX = width / 2 - (cos * width) / 2 - (sin * height) / 2;
  const shiftY = height / 2 + (sin * width) / 2 - (cos * height) / 2;
  return affine(image, cos, sin, shiftX, -sin, cos, shiftY, fill);
}

function affine(image: Image, a: number, b: number, c: number, d: number, e: number, f: number, fill: number): Image {
  const { height, width, data } = image;
  const out = blankImage(height, width);
  if (fill !== 0) out.data.fill(fill);
  const [stepX, stepY] = [fixed(a), fixed(d)];
  const [rowX, rowY] = [fixed(b), fixed(e)];
  let startX = fixed(c + a * 0.5 + b * 0.5);
  let startY = fixed(f + d * 0.5 + e * 0.5);
  let target = 0;
  for (let y = 0; y < height; y++, startX += rowX, startY += rowY) {
    let sourceX = startX;
    let sourceY = startY;
    for (let x = 0; x < width; x++, target += 3, sourceX += stepX, sourceY += stepY) {
      const column = sourceX >> 16;
      const row = sourceY >> 16;
      if (column < 0 || column >= width || row < 0 || row >= height) continue;
      const source = (row * width + column) * 3;
      out.data[target] = data[source]!;
      out.data[target + 1] = data[source + 1]!;
      out.data[target + 2] = data[source + 2]!;
    }
  }
  return out;
}

function fixed(value: number): number {
  return Math.floor(value * 65536 + 0.5);
}

function round15(value: number): number {
  return Math.round(value * 1e15) / 1e15;
}

function quarterTurn(image: Image, counterClockwise: boolean): Image {
  const side = image.width;
  const out = blankImage(side, side);
  let target = 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const source = (counterClockwise ? x * side + side - 1 - y : (side - 1 - x) * side + y) * 3;
      out.data[target++] = image.data[source]!;
      out.data[target++] = image.data[source + 1]!;
      out.data[target++] = image.data[source + 2]!;
    }
  }
  return out;
}
