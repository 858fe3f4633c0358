// Data set specs such as `shapes10?train=500&seed=3` or `imagefolder:/path?classes=cat,dog`.
import { UsageError } from '../errors.js';

/** A spec in its parts. */
export interface ParsedSpec {
  name: string;
  /** What follows the colon. */
  path: string | undefined;
  parameters: Map<string, string>;
}

/** Splits a spec into its parts. Throws UsageError for parameters without a value, given twice or wrongly escaped. */
export function parseSpec(spec: string): ParsedSpec {
  const mark = spec.lastIndexOf('?');
  const head = mark < 0 ? spec : spec.slice(0, mark);
  const parameters = new Map<string, string>();
  for (const part of mark < 0 ? [] : spec.slice(mark + 1).split('&')) {
    const equals = part.indexOf('=');
    const key = part.slice(0, equals);
    const value = decoded(part.slice(equals + 1));
    if (equals < 1 || parameters.has(key) || value === undefined) {
      throw new UsageError(
        `The data set ${JSON.stringify(spec)} has the parameter ${JSON.stringify(part)}; write ?key=value&key=value.`,
      );
    }
    parameters.set(key, value);
  }
  const colon = head.indexOf(':');
  return colon < 0
    ? { name: head, path: undefined, parameters }
    : { name: head.slice(0, colon), path: head.slice(colon + 1), parameters };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Refuses parameters that the data set does not have. */
export function onlyParameters(spec: string, parsed: ParsedSpec, known: readonly string[]): void {
  for (const key of parsed.parameters.keys()) {
    if (known.includes(key)) continue;
    const choice = known.length > 0 ? `it takes ${known.join(', ')}` : 'it takes none';
    throw new UsageError(`The data set ${JSON.stringify(spec)} has no parameter ${key}; ${choice}.`);
  }
}

/** A whole number among the parameters, or the default. */
export function wholeParameter(spec: string, parsed: ParsedSpec, key: string, fallback: number, least: number): number {
  const text = parsed.parameters.get(key);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < least || value > 2 ** 31 - 1) {
    throw new UsageError(
      `The data set ${JSON.stringify(spec)}: ${key} must be a whole number from ${least}, got ${text}.`,
    );
  }
  return value;
}
