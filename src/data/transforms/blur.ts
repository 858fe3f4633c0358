// Two Gaussian blurs: torchvision's (a sampled kernel) and Pillow's (three box blurs, BoxBlur.c). MoCo v3 uses Pillow's.
import { ShapeError } from '../../errors.js';
import { blankImage, type Image } from '../image.js';

const { fround } = Math;

/** A Gaussian sampled at `kernelSize` points, reflected at the border, rounded to 8 bits once, at the end. */
export function gaussianBlur(image: Image, kernelSize: number, sigma: number): Image {
  const reach = (kernelSize - 1) / 2;
  const { height, width, data } = image;
  if (!Number.isInteger(reach) || reach >= Math.min(height, width)) {
    throw new ShapeError(
      `A blur kernel must be odd and reach less than the image (${height} × ${width}), got ${kernelSize}.`,
    );
  }
  const kernel = Float64Array.from({ length: kernelSize }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  for (let i = 0; i < kernelSize; i++) kernel[i]! /= total;
  const rows = new Float64Array(data.length);
  const columns = new Float64Array(data.length);
  convolve(data, rows, kernel, height, width * 3, width, 3);
  convolve(rows, columns, kernel, width, 3, height, width * 3);
  const out = blankImage(height, width);
  for (let i = 0; i < data.length; i++) out.data[i] = roundHalfEven(columns[i]!);
  return out;
}

/** Convolves `lines` lines (`lineStep` apart) of `length` pixels (`step` apart) of three channels each. */
function convolve(
  source: ArrayLike<number>,
  target: Float64Array,
  kernel: Float64Array,
  lines: number,
  lineStep: number,
  length: number,
  step: number,
): void {
  const reach = (kernel.length - 1) / 2;
  for (let line = 0; line < lines; line++) {
    for (let position = 0; position < length; position++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) {
          const wanted = position + k;
          const mirrored = wanted < 0 ? -wanted : wanted >= length ? 2 * length - 2 - wanted : wanted;
          sum += kernel[k + reach]! * source[line * lineStep + mirrored * step + channel]!;
        }
        target[line * lineStep + position * step + channel] = sum;
      }
    }
  }
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** PIL's `ImageFilter.GaussianBlur(radius)`. */
export function pilGaussianBlur(image: Image, radius: number): Image {
  const passes = 3;
  const box = boxRadius(radius, passes);
  const out: Image = { ...image, data: image.data.slice() };
  if (box === 0) return out;
  const { height, width } = image;
  for (let pass = 0; pass < passes; pass++) boxBlur(out.data, box, height, width * 3, width, 3);
  for (let pass = 0; pass < passes; pass++) boxBlur(out.data, box, width, 3, height, width * 3);
  return out;
}

/** The radius of a box blur that, done `passes` times, has the variance of the Gaussian; in C floats as in Pillow. */
function boxRadius(radius: number, passes: number): number {
  const variance = fround(fround(radius * radius) / passes);
  const whole = Math.floor((fround(Math.sqrt(12 * variance + 1)) - 1) / 2);
  const part = fround(fround(2 * whole + 1) * fround(whole * (whole + 1) - fround(3 * variance)));
  return fround(whole + fround(part / fround(6 * fround(variance - (whole + 1) * (whole + 1)))));
}

/** One box blur along lines, in place, in 8.24 fixed point; beyond the border the outermost pixel counts. */
function boxBlur(
  data: Uint8Array,
  boxRadius: number,
  lines: number,
  lineStep: number,
  length: number,
  step: number,
): void {
  const radius = Math.trunc(boxRadius);
  const weight = Math.trunc(fround(2 ** 24 / fround(boxRadius * 2 + 1)));
  const farWeight = Math.trunc((2 ** 24 - (radius * 2 + 1) * weight) / 2);
  const line = new Uint8Array(length);
  const last = length - 1;
  for (let index = 0; index < lines; index++) {
    for (let channel = 0; channel < 3; channel++) {
      const base = index * lineStep + channel;
      for (let i = 0; i < length; i++) line[i] = data[base + i * step]!;
      let sum = line[0]! * (radius + 1);
      for (let i = 0; i < radius; i++) sum += line[Math.min(i, last)]!;
      for (let i = 0; i < length; i++) {
        const before = line[Math.max(0, i - radius - 1)]!;
        sum += line[Math.min(last, i + radius)]! - before;
        const far = before + line[Math.min(last, i + radius + 1)]!;
        data[base + i * step] = Math.floor((sum * weight + far * farWeight + 2 ** 23) / 2 ** 24);
      }
    }
  }
}
