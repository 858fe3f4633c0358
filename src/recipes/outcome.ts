// How runs end: their status, their exit status, and what to say of it.
import { type Check, rangeText } from './contract.js';
import type { Status } from './runFolder.js';

/** How a run came to its end, as far as its cells tell. */
export interface Ending {
  readonly status: Status;
  readonly error: string | null;
}

/** What came of a cell. */
export interface CellOutcome {
  readonly label: string;
  readonly status: 'ok' | 'failed' | 'skipped';
  readonly seconds: number;
  readonly error?: string;
}

export interface Outcome {
  readonly name: string;
  readonly runDir: string;
  readonly status: Status;
  readonly exitCode: number;
  /** What went wrong, in one line. */
  readonly error: string | null;
  readonly cells: readonly CellOutcome[];
  readonly checks: readonly Check[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Exit status of a command by how its run ended. A finished run with a metric out of range gives METRIC_EXIT. */
export const EXIT: Readonly<Record<Status, number>> = {
  finished: 0,
  failed: 1,
  timeout: 4,
  hung: 4,
  died: 5,
  'out-of-memory': 5,
  interrupted: 130,
  running: 1,
  interactive: 0,
};
export const METRIC_EXIT = 3;

/** Which exit status stands for several runs: the first of these that one of them has. */
const SEVERITY = [130, 5, 4, 1, METRIC_EXIT, 0] as const;

/** The exit status for all runs together; where fewer ended than were planned, they were interrupted. */
export function exitCodeOf(outcomes: readonly Outcome[], planned = outcomes.length): number {
  if (outcomes.length < planned) return SEVERITY[0];
  return SEVERITY.find((code) => outcomes.some(({ exitCode }) => exitCode === code)) ?? 0;
}

/** `accuracy is 0.1, but at least 0.4 was expected.` */
export function checkText({ metric, expected, seen }: Check): string {
  const range = rangeText(expected);
  return seen === undefined
    ? `${metric} was never recorded, but ${range} was expected.`
    : `${metric} is ${seen}, but ${range} was expected.`;
}
