// Resizing as Pillow does it (Pillow's Resample.c): separable, antialiased when shrinking, coefficients in fixed point,
// rounded to 8 bits between the horizontal and the vertical pass. Nearest takes pixel centres.
import { UsageError } from '../../errors.js';
import { blankImage, type Image } from '../image.js';

export const INTERPOLATIONS = ['nearest', 'bilinear', 'bicubic'] as const;
export type Interpolation = (typeof INTERPOLATIONS)[number];

const PRECISION_BITS = 22;

interface Kernel {
  support: number;
  weight(x: number): number;
}

const KERNELS: Record<Exclude<Interpolation, 'nearest'>, Kernel> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(x) {
      const a = -0.5;
      const t = Math.abs(x);
      if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
      if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
      return 0;
    },
  },
};

/** For every output position: which input positions count (`first`, `count`) and by how much, in fixed point. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  stride: number;
  weights: Int32Array;
}

const tapsCache = new Map<string, Taps>();

function taps(from: number, to: number, interpolation: Exclude<Interpolation, 'nearest'>): Taps {
  const key = `${from}>${to}${interpolation}`;
  const known = tapsCache.get(key);
  if (known) return known;
  const { support: reach, weight } = KERNELS[interpolation];
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = reach * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const made: Taps = {
    first: new Int32Array(to),
    count: new Int32Array(to),
    stride,
    weights: new Int32Array(to * stride),
  };
  const raw = new Float64Array(stride);
  for (let out = 0; out < to; out++) {
    const center = (out + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - first;
    let total = 0;
    for (let i = 0; i < count; i++) {
      raw[i] = weight((i + first - center + 0.5) / filterScale);
      total += raw[i]!;
    }
    for (let i = 0; i < count; i++) {
      const scaled = (total === 0 ? raw[i]! : raw[i]! / total) * 2 ** PRECISION_BITS;
      made.weights[out * stride + i] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    made.first[out] = first;
    made.count[out] = count;
  }
  if (tapsCache.size >= 512) tapsCache.clear();
  tapsCache.set(key, made);
  return made;
}

/** One pass along the rows (`horizontal`) or the columns. */
function pass(image: Image, to: number, kernel: Taps, horizontal: boolean): Image {
  const { data, width } = image;
  const out = horizontal ? blankImage(image.height, to) : blankImage(to, width);
  const half = 2 ** (PRECISION_BITS - 1);
  const step = horizontal ? 3 : width * 3;
  let target = 0;
  for (let y = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++) {
      const position = horizontal ? x : y;
      const base = horizontal ? (y * width + kernel.first[x]!) * 3 : (kernel.first[y]! * width + x) * 3;
      const weightBase = position * kernel.stride;
      const count = kernel.count[position]!;
      let red = half;
      let green = half;
      let blue = half;
      for (let i = 0, source = base; i < count; i++, source += step) {
        const weight = kernel.weights[weightBase + i]!;
        red += data[source]! * weight;
        green += data[source + 1]! * weight;
        blue += data[source + 2]! * weight;
      }
      out.data[target++] = clip8(red >> PRECISION_BITS);
      out.data[target++] = clip8(green >> PRECISION_BITS);
      out.data[target++] = clip8(blue >> PRECISION_BITS);
    }
  }
  return out;
}

function clip8(value: number): number {
  return Math.min(255, Math.max(0, value));
}

/** The image whose pixels are those of `image` at the crossings of these rows and columns. */
export function pick(image: Image, rows: Int32Array, columns: Int32Array): Image {
  const [height, width] = [rows.length, columns.length];
  const out = blankImage(height, width);
  let target = 0;
  for (let y = 0; y < height; y++) {
    const row = rows[y]! * image.width;
    for (let x = 0; x < width; x++) {
      const source = (row + columns[x]!) * 3;
      out.data[target++] = image.data[source]!;
      out.data[target++] = image.data[source + 1]!;
      out.data[target++] = image.data[source + 2]!;
    }
  }
  return out;
}

/** The input position below the centre of every output position, summed up step by step as Pillow does. */
function centres(from: number, to: number): Int32Array {
  const positions = new Int32Array(to);
  const scale = from / to;
  let position = scale * 0.5;
  for (let i = 0; i < to; i++, position += scale) positions[i] = Math.min(from - 1, Math.trunc(position));
  return positions;
}

/** Resizes to exactly height × width: `torchvision.transforms.functional.resize` on a PIL image. */
export function resize(image: Image, height: number, width: number, interpolation: Interpolation = 'bilinear'): Image {
  if (!(height > 0 && width > 0)) throw new UsageError(`An image cannot be resized to ${height} × ${width}.`);
  if (interpolation === 'nearest') return pick(image, centres(image.height, height), centres(image.width, width));
  const across = (source: Image) =>
    width === source.width ? source : pass(source, width, taps(source.width, width, interpolation), true);
  const down = (source: Image) =>
    height === source.height ? source : pass(source, height, taps(source.height, height, interpolation), false);
  // as in Pillow 13, which saves work where the height shrinks and the width does not
  const out = height < image.height && width >= image.width ? across(down(image)) : down(across(image));
  return out === image ? { ...image, data: image.data.slice() } : out;
}

/** Resizes so that the shorter side is `size` and the proportions stay: torchvision's `Resize(size)`. */
export function resizeShorter(image: Image, size: number, interpolation: Interpolation = 'bilinear'): Image {
  const longer = Math.trunc((size * Math.max(image.height, image.width)) / Math.min(image.height, image.width));
  const [height, width] = image.width <= image.height ? [longer, size] : [size, longer];
  return resize(image, height, width, interpolation);
}
