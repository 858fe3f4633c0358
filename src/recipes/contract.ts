// What a recipe promises: the `vitlab` object in the notebook's metadata.
import { z } from 'zod';
import { UsageError } from '../errors.js';
import type { Notebook } from './notebook.js';

export const PROFILES = ['quick', 'standard', 'paper'] as const;
export type Profile = (typeof PROFILES)[number];

const rangeSchema = z
  .strictObject({ min: z.number().optional(), max: z.number().optional() })
  .refine(({ min, max }) => min !== undefined || max !== undefined, 'a range needs min, max or both')
  .refine(({ min, max }) => min === undefined || max === undefined || min <= max, 'min is above max');

const profileName = z.enum(PROFILES);

const contractSchema = z.strictObject({
  reproduces: z.string().default(''),
  expects: z.record(z.string(), z.partialRecord(profileName, rangeSchema)).default({}),
  profiles: z.partialRecord(profileName, z.record(z.string(), z.json())).default({}),
});

export type Range = z.infer<typeof rangeSchema>;

/**
 * `reproduces`: the reference; `expects`: metric → profile → range; `profiles`: profile → parameter values.
 * @interface
 */
export type Contract = z.infer<typeof contractSchema>;

/** A metric beside what its recipe expects. `seen` is undefined where it was never recorded. */
export interface Check {
  readonly metric: string;
  readonly expected: Range;
  readonly seen: number | undefined;
  readonly passed: boolean;
}

/** The contract of a notebook; an empty one where its metadata holds none. @throws UsageError for a malformed one. */
export function contractOf(notebook: Notebook, file: string): Contract {
  const result = contractSchema.safeParse(notebook.metadata['vitlab'] ?? {});
  if (result.success) return result.data;
  const what = z.prettifyError(result.error).replace(/\s+/g, ' ');
  throw new UsageError(`The 'vitlab' metadata of ${file} is not a contract: ${what}`);
}

/** Every metric that the contract expects for this profile, checked. */
export function checkMetrics(
  contract: Contract,
  profile: Profile,
  metrics: Readonly<Record<string, number>>,
): readonly Check[] {
  return Object.entries(contract.expects).flatMap(([metric, ranges]) => {
    const expected = ranges[profile];
    if (!expected) return [];
    const seen = Object.hasOwn(metrics, metric) ? metrics[metric] : undefined;
    const passed =
      seen !== undefined &&
      seen >= (expected.min ?? Number.NEGATIVE_INFINITY) &&
      seen <= (expected.max ?? Number.POSITIVE_INFINITY);
    return [{ metric, expected, seen, passed }];
  });
}

/** A range in words: `0.4 to 0.6`, `at least 0.4`, `at most 0.6`, `exactly 10`. */
export function rangeText({ min, max }: Range): string {
  if (min === max) return `exactly ${min}`;
  if (min === undefined) return `at most ${max}`;
  return max === undefined ? `at least ${min}` : `${min} to ${max}`;
}
