// Configurations that are chosen by name: `{ name: 'adamw', … }`. Checked once against the schema of that name.
import type { z } from 'zod';
import { nearest, UsageError } from '../errors.js';

const suggest = (guess: string | undefined): string => (guess ? ` Did you mean ${guess}?` : '');

/**
 * Checks `config` against the schema that its `name` picks and fills in the defaults.
 * @param what what is configured, for messages: 'optimiser'
 * @throws UsageError for an unknown name (with the nearest valid one), an unknown key or a value out of its range
 */
export function parseNamed<S extends Record<string, z.ZodObject>>(
  what: string,
  schemas: S,
  config: unknown,
): z.output<S[keyof S]> {
  const name = (config as { name?: unknown } | null | undefined)?.name;
  if (typeof name !== 'string' || !Object.hasOwn(schemas, name)) {
    const guess = typeof name === 'string' ? nearest(name, Object.keys(schemas)) : undefined;
    throw new UsageError(
      `There is no ${what} ${JSON.stringify(name)}; there are ${Object.keys(schemas).join(', ')}.${suggest(guess)}`,
    );
  }
  const schema = schemas[name]!;
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data as z.output<S[keyof S]>;
  const faults = parsed.error.issues.map((issue) => {
    const place = issue.path.join('.');
    if (issue.code !== 'unrecognized_keys') return `${place}: ${issue.message}`;
    const known = Object.keys(schema.shape);
    return issue.keys
      .map((key) => `unknown key ${key}, there are ${known.join(', ')}.${suggest(nearest(key, known))}`)
      .join('; ');
  });
  throw new UsageError(`The ${what} ${name} is not configured right: ${faults.join('; ')}`);
}
