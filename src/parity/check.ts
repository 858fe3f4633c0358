// Compares what a runner computed with what a case expects, and sees to it that nothing expected goes unchecked.
import { isDeepStrictEqual } from 'node:util';
import { type TensorData, type TensorRecord, toFloat64 } from '../checkpoint/index.js';
import { DataError } from '../errors.js';
import type { CaseSpec } from './case.js';
import { errorShare, parseTolerance, type Tolerance } from './tolerance.js';

export interface CheckResult {
  passed: boolean;
  /** The number of comparisons made. */
  checks: number;
  /** The largest error as a share of its tolerance; at most 1 when all passed, Infinity for NaN or inequality. */
  worst: number;
  /** What had the largest error. */
  worstName: string;
  failures: string[];
}

/** Collects the comparisons of one case. */
export class Checker {
  private readonly checked = new Set<string>();
  private readonly alternatives = new Map<string, string>();
  private readonly failures: string[] = [];
  private checks = 0;
  private worst = 0;
  private worstName = '';

  constructor(
    private readonly spec: Pick<CaseSpec, 'tolerances'>,
    private readonly expected: TensorRecord,
  ) {}

  /**
   * Compares `got` with the expected tensor of that name. `shape` is the shape of `got` where it is a bare array.
   * Without `group` (a name in the case's `tolerances`) the rule follows from the name: `grad…` is `grads`, `state.…`
   * is `state`, a case with one rule has no choice, everything else is `outputs`.
   */
  close(name: string, got: ArrayLike<number> | TensorData, shape?: readonly number[], group?: string): void {
    const expected = this.expected[name];
    if (!expected) {
      this.fail(name, 'is not among the expected tensors');
      return;
    }
    this.checked.add(name);
    const gotShape = 'dtype' in got ? got.shape : shape;
    if (gotShape !== undefined && !isDeepStrictEqual([...gotShape], expected.shape)) {
      this.fail(name, `has the shape [${gotShape}], expected [${expected.shape}]`);
      return;
    }
    this.compare(name, got, expected, this.tolerance(group ?? this.groupOf(name)), expected.shape.at(-1));
  }

  /** Compares numbers that are not an expected tensor, by a rule or by the name of one of the case's tolerances. */
  value(
    name: string,
    got: number | ArrayLike<number> | TensorData,
    expected: number | ArrayLike<number> | TensorData,
    tolerance: Tolerance | string,
  ): void {
    const rule = typeof tolerance === 'string' ? this.tolerance(tolerance) : tolerance;
    this.compare(
      name,
      typeof got === 'number' ? [got] : got,
      typeof expected === 'number' ? [expected] : expected,
      rule,
    );
  }

  /** Compares any two values for deep equality (NaN is equal to nothing here either). */
  equal(name: string, got: unknown, expected: unknown): void {
    this.checks++;
    if (!Number.isNaN(got) && isDeepStrictEqual(got, expected)) return;
    this.note(name, Number.POSITIVE_INFINITY);
    this.fail(name, `is ${show(got)}, expected ${show(expected)}`);
  }

  /** Records a failure. */
  fail(name: string, message: string): void {
    this.checks++;
    this.failures.push(`${name} ${message}`);
  }

  /** Says that the expected tensor `name` is another valid result for `instead`, which is the one that is checked. */
  alternative(name: string, instead: string): void {
    if (this.expected[name]) this.alternatives.set(name, instead);
    else this.fail(name, 'is not among the expected tensors');
  }

  /** The verdict. Every expected tensor must have been checked, and at least one check made. */
  finish(): CheckResult {
    for (const name of Object.keys(this.expected)) {
      const instead = this.alternatives.get(name);
      if (this.checked.has(name) || (instead !== undefined && this.checked.has(instead))) continue;
      this.failures.push(`${name} is expected but was never checked`);
    }
    if (this.checks === 0 && this.failures.length === 0) this.failures.push('nothing was checked');
    const { checks, worst, worstName, failures } = this;
    return { passed: failures.length === 0, checks, worst, worstName, failures: [...failures] };
  }

  /** The tolerance of that name in case.json. Throws DataError when there is none. */
  tolerance(group: string): Tolerance {
    const value = this.spec.tolerances[group];
    if (value === undefined) {
      const known = Object.keys(this.spec.tolerances).join(', ');
      throw new DataError(`case.json has no tolerance ${group}; it has ${known || 'none'}.`);
    }
    return parseTolerance(group, value);
  }

  private groupOf(name: string): string {
    const groups = Object.keys(this.spec.tolerances);
    if (groups.length === 1) return groups[0]!;
    if (name.startsWith('grad') && groups.includes('grads')) return 'grads';
    if (name.startsWith('state.') && groups.includes('state')) return 'state';
    return 'outputs';
  }

  private compare(
    name: string,
    got: ArrayLike<number> | TensorData,
    expected: ArrayLike<number> | TensorData,
    tolerance: Tolerance,
    channels?: number,
  ): void {
    const [a, b] = [numbers(got), numbers(expected)];
    if (a.length !== b.length) {
      this.fail(name, `has ${a.length} values, expected ${b.length}`);
      return;
    }
    this.checks++;
    const unequal =
      tolerance.rule === 'equal' && isWide(got) && isWide(expected) && !isDeepStrictEqual(got.data, expected.data);
    const share = unequal ? Number.POSITIVE_INFINITY : errorShare(a, b, tolerance, channels);
    this.note(name, share);
    if (!(share <= 1)) this.failures.push(`${name} is off by ${share.toPrecision(3)} times its tolerance`);
  }

  private note(name: string, share: number): void {
    if (share > this.worst || this.worstName === '') [this.worst, this.worstName] = [share, name];
  }
}

function numbers(values: ArrayLike<number> | TensorData): ArrayLike<number> {
  return 'dtype' in values ? toFloat64(values) : values;
}

/** Whether a tensor holds 64-bit integers, which doubles cannot hold exactly. */
function isWide(side: ArrayLike<number> | TensorData): side is TensorData {
  return 'dtype' in side && /int64$/.test(side.dtype);
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_key, entry) => (typeof entry === 'bigint' ? `${entry}n` : entry));
  return text === undefined ? String(value) : text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
