// When two numbers count as equal: the rules that case.json files state in words, as data.
import { z } from 'zod';
import { DataError } from '../errors.js';

export type Tolerance =
  /** No difference at all. */
  | { rule: 'equal' }
  /** |a - b| <= atol + rtol |b|, element by element. */
  | { rule: 'element'; atol: number; rtol: number }
  /** |a - b| <= atol + rtol max|b| over the tensor. */
  | { rule: 'tensor'; atol: number; rtol: number }
  /**
   * |a - b| <= limit, but up to `share` of the values may be off by up to `outlier`. With `perPixel` the share is of
   * the positions over the last axis, and one differing channel makes the position an outlier.
   */
  | { rule: 'levels'; limit: number; outlier: number; share: number; perPixel?: boolean };

const ruleSchema = z.looseObject({ rule: z.string(), atol: z.number().optional(), rtol: z.number().optional() });

/** The tolerance that a `tolerances` entry of a case.json states. Throws DataError for a rule it does not know. */
export function parseTolerance(name: string, value: unknown): Tolerance {
  const parsed = ruleSchema.safeParse(value);
  if (!parsed.success) throw new DataError(`Tolerance ${name} is not a rule: ${JSON.stringify(value)}.`);
  const { rule, atol, rtol } = parsed.data;
  if (rule === 'equal') return { rule: 'equal' };
  if (rule.startsWith('equal as text')) return { rule: 'equal' };
  if (rule === 'relative') return { rule: 'element', atol: atol ?? 0, rtol: needed(name, 'rtol', rtol) };
  const bounds = () => ({ atol: needed(name, 'atol', atol), rtol: needed(name, 'rtol', rtol) });
  if (rule.startsWith('abs(a-b) <= atol + rtol*abs(b)')) return { rule: 'element', ...bounds() };
  if (rule.startsWith('abs(a-b) <= atol + rtol*max(abs(b))')) return { rule: 'tensor', ...bounds() };
  const pixels = /^equal except for at most (\d+) percent of the pixels/.exec(rule);
  if (pixels) return { rule: 'levels', limit: 0, outlier: 255, share: Number(pixels[1]) / 100, perPixel: true };
  const differ = /^abs\(a-b\) <= (\d+) .*at most (\d+) percent of the values may differ by (\d+)/.exec(rule);
  if (differ) return levels(differ[1], differ[3], differ[2]);
  const above = /^abs\(a-b\) <= (\d+) .*at most (\d+) percent above (\d+)/.exec(rule);
  if (above) return levels(above[3], above[1], above[2]);
  throw new DataError(`Tolerance ${name} has an unknown rule: ${JSON.stringify(rule)}.`);
}

function levels(limit?: string, outlier?: string, percent?: string): Tolerance {
  return { rule: 'levels', limit: Number(limit), outlier: Number(outlier), share: Number(percent) / 100 };
}

function needed(name: string, field: string, value: number | undefined): number {
  if (value === undefined) throw new DataError(`Tolerance ${name} does not state ${field}.`);
  return value;
}

/**
 * The largest error of `got` against `expected` as a share of what the tolerance allows: 0 is equal, up to 1 passes,
 * Infinity is a NaN, or any difference where none is allowed. Both have the same length; `channels` is the last axis.
 */
export function errorShare(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
  channels = 1,
): number {
  if (tolerance.rule === 'levels') return levelsShare(got, expected, tolerance, tolerance.perPixel ? channels : 1);
  const { atol, rtol } = tolerance.rule === 'equal' ? { atol: 0, rtol: 0 } : tolerance;
  const overTensor = tolerance.rule === 'tensor' ? largestMagnitude(expected) : undefined;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    // Infinities are equal to themselves, NaN is not.
    if (got[i] === expected[i]) continue;
    const share = Math.abs(got[i]! - expected[i]!) / (atol + rtol * (overTensor ?? Math.abs(expected[i]!)));
    if (!(share <= largest)) largest = Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
  }
  return largest;
}

function largestMagnitude(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}

function levelsShare(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  { limit, outlier, share }: { limit: number; outlier: number; share: number },
  channels: number,
): number {
  let largest = 0;
  let outliers = 0;
  const places = expected.length / channels;
  for (let place = 0; place < places; place++) {
    let error = 0;
    for (let i = place * channels; i < (place + 1) * channels; i++) {
      const difference = Math.abs(got[i]! - expected[i]!);
      error = Math.max(error, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    }
    if (error > limit) outliers++;
    else if (limit > 0) largest = Math.max(largest, error / limit);
    if (error > outlier) return Number.POSITIVE_INFINITY;
  }
  return outliers === 0 ? largest : Math.max(largest, outliers / places / share);
}
