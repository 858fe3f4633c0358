// Resampling of a grid of feature vectors as PyTorch's `interpolate` does it (ATen/native/UpSample*.h): both axes one
// after the other, each by a small table of source positions and weights.
import { UsageError } from '../errors.js';

const MODES = ['bicubic', 'bilinear', 'nearest'] as const;
/**
 * How values between the points of a grid are made.
 * @useDeclaredType
 */
export type GridInterpolation = (typeof MODES)[number];

export interface ResampleOptions {
  mode: GridInterpolation;
  /** The corner values stay where they are: position i reads i · (old − 1) / (new − 1). Not for `nearest`. */
  alignCorners?: boolean;
  /** Widens the filter when shrinking; bicubic then uses the coefficient −0.5 instead of −0.75. Not for `nearest`. */
  antialias?: boolean;
}

/** The weights of one output position for the inputs from `start` on. */
interface Taps {
  start: number;
  weights: number[];
}

/**
 * Resamples `[rows, columns, channels]` to `[newRows, newColumns, channels]`, in float64. Throws UsageError for a mode
 * that is not known, an empty grid, antialias together with alignCorners, or one of them with `nearest`.
 */
export function resampleGrid(
  values: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  [newRows, newColumns]: readonly [number, number],
  channels: number,
  options: ResampleOptions,
): Float64Array {
  if (!MODES.includes(options.mode)) {
    throw new UsageError(`GridInterpolation is ${MODES.join(', ')}, not ${JSON.stringify(options.mode)}.`);
  }
  const refused = options.mode === 'nearest' && (['alignCorners', 'antialias'] as const).find((name) => options[name]);
  if (refused) {
    throw new UsageError(`nearest copies values and has no ${refused}: leave it out, or take bilinear or bicubic.`);
  }
  if (options.alignCorners && options.antialias) throw new UsageError('antialias and alignCorners exclude each other.');
  if ([rows, columns, newRows, newColumns].some((side) => !Number.isInteger(side) || side < 1)) {
    throw new UsageError(`Cannot resample a grid of ${rows} x ${columns} to ${newRows} x ${newColumns}.`);
  }
  const wide = alongAxis(values, rows, columns, channels, axisTaps(columns, newColumns, options));
  return alongAxis(wide, 1, rows, newColumns * channels, axisTaps(rows, newRows, options));
}

/** Resamples the middle axis of `[outer, length, inner]`. */
function alongAxis(values: ArrayLike<number>, outer: number, length: number, inner: number, taps: readonly Taps[]) {
  const out = new Float64Array(outer * taps.length * inner);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (const { start, weights } of taps) {
      for (let i = 0; i < inner; i++, to++) {
        let from = (o * length + start) * inner + i;
        let sum = 0;
        for (const weight of weights) {
          sum += weight * values[from]!;
          from += inner;
        }
        out[to] = sum;
      }
    }
  }
  return out;
}

function axisTaps(length: number, newLength: number, options: ResampleOptions): Taps[] {
  const plain = { bicubic: cubicTaps, bilinear: linearTaps, nearest: nearestTaps };
  const taps = options.antialias ? antialiasTaps : plain[options.mode];
  return Array.from({ length: newLength }, (_, i) => taps(i, length, newLength, options));
}

/** The position of output i between the inputs. */
function source(i: number, length: number, newLength: number, { alignCorners }: ResampleOptions): number {
  if (alignCorners) return newLength > 1 ? (i * (length - 1)) / (newLength - 1) : 0;
  return ((i + 0.5) * length) / newLength - 0.5;
}

/** PyTorch's `nearest`: ⌊i · old / new⌋, with the scale rounded to float32 as there. */
function nearestTaps(i: number, length: number, newLength: number): Taps {
  const position = Math.fround(i * Math.fround(length / newLength));
  return { start: Math.min(Math.floor(position), length - 1), weights: [1] };
}

function linearTaps(i: number, length: number, newLength: number, options: ResampleOptions): Taps {
  const position = Math.min(Math.max(source(i, length, newLength, options), 0), length - 1);
  const start = Math.min(Math.floor(position), Math.max(length - 2, 0));
  const share = position - start;
  return { start, weights: length > 1 ? [1 - share, share] : [1] };
}

function cubicTaps(i: number, length: number, newLength: number, options: ResampleOptions): Taps {
  const position = source(i, length, newLength, options);
  const floor = Math.floor(position);
  // Positions past the border read the border, so their weights are added to its weight.
  const inside = (at: number) => Math.min(Math.max(at, 0), length - 1);
  const start = inside(floor - 1);
  const weights = new Array<number>(inside(floor + 2) - start + 1).fill(0);
  for (let at = floor - 1; at <= floor + 2; at++) weights[inside(at) - start]! += cubic(position - at, -0.75);
  return { start, weights };
}

function antialiasTaps(i: number, length: number, newLength: number, { mode }: ResampleOptions): Taps {
  const scale = length / newLength;
  const widening = Math.max(scale, 1);
  const support = (mode === 'bicubic' ? 2 : 1) * widening;
  const center = scale * (i + 0.5);
  const start = Math.max(Math.trunc(center - support + 0.5), 0);
  const end = Math.min(Math.trunc(center + support + 0.5), length);
  const filter = mode === 'bicubic' ? (x: number) => cubic(x, -0.5) : (x: number) => Math.max(0, 1 - Math.abs(x));
  const weights = Array.from({ length: end - start }, (_, j) => filter((start + j - center + 0.5) / widening));
  const sum = weights.reduce((a, b) => a + b, 0);
  return { start, weights: weights.map((weight) => weight / sum) };
}

/** Keys' cubic convolution kernel with the coefficient `a`. */
function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}
