// Whether a build became slower than an earlier report says. Ratios are compared, never times: the sides of a row were
// measured in turn, so a ratio means the same on a fast and on a slow day.
import fs from 'node:fs';
import { z } from 'zod';
import { UsageError } from '../src/errors.js';
import type { Measurement } from './measure.js';

/** The ratios of a row, and whether more is better. */
const RATIOS = { ratio: true, compiledRatio: true, fractionOfPeak: true, ofWhole: false } as const;
type Ratio = keyof typeof RATIOS;

const reportSchema = z.object({
  rows: z.array(
    z.object({
      name: z.string(),
      ratio: z.number().nullable(),
      compiledRatio: z.number().nullable(),
      fractionOfPeak: z.number().nullable(),
      ofWhole: z.number().nullable(),
    }),
  ),
});

/** The ratios of an earlier report's rows. */
export type Baseline = ReadonlyMap<string, Readonly<Record<Ratio, number | null>>>;

/** @throws UsageError where the file is missing or no report */
export function readBaseline(file: string): Baseline {
  try {
    const { rows } = reportSchema.parse(JSON.parse(fs.readFileSync(file, 'utf8')));
    return new Map(rows.map((row) => [row.name, row]));
  } catch (error) {
    throw new UsageError(`${file} is not a report of vitlab bench --out: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** What got worse by more than a share `tolerance`, in words, and how many ratios there were to compare. */
export function compareWith(
  baseline: Baseline,
  rows: readonly Measurement[],
  tolerance: number,
): { compared: number; worse: string[] } {
  const worse: string[] = [];
  let compared = 0;
  for (const row of rows) {
    for (const [name, moreIsBetter] of Object.entries(RATIOS) as [Ratio, boolean][]) {
      const before = baseline.get(row.name);
      const [now, then] = [row[name], before?.[name] ?? null];
      if (now === null || then === null) continue;
      // with a peer the peak is the faster of both sides' products
      if (name === 'fractionOfPeak' && (row.ratio === null) !== (before!.ratio === null)) continue;
      compared++;
      const share = moreIsBetter ? now / then : then / now;
      if (share < 1 - tolerance) worse.push(`${row.name}: ${name} ${now}, was ${then}`);
    }
  }
  return { compared, worse };
}
