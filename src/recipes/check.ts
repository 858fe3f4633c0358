// Runs a finished run again, from what its folder says, and tells every metric that moved.
import path from 'node:path';
import { UsageError } from '../errors.js';
import type { Table } from '../plot/index.js';
import { stemOf } from './lab.js';
import { readNotebook, withoutOutputs } from './notebook.js';
import type { Outcome } from './outcome.js';
import { type Plan, placeOf } from './plan.js';
import { FILES, type Provenance, type Run, readRun, type Source } from './runFolder.js';

/** A run that is to be made again, and the plan for that. */
export interface CheckPlan {
  readonly before: Run;
  /** Its contract expects exactly the metrics of the run before. */
  readonly plan: Plan;
}

/**
 * Plans to run the notebook in `dir` again, with its parameters and as many threads; in `out`, or in a new folder.
 * @throws UsageError where the run has not finished
 */
export function planCheck(dir: string, out: string | undefined): CheckPlan {
  const before = readRun(dir);
  const { status, notebook: notebookPath, profile, parameters, threads } = before.provenance;
  if (status !== 'finished') {
    throw new UsageError(`${dir} cannot be checked: its run is ${status}, and only one that has finished can be.`);
  }
  const name = stemOf(notebookPath);
  const expects = Object.fromEntries(
    Object.entries(before.metrics).map(([metric, value]) => [metric, { [profile]: { min: value, max: value } }]),
  );
  const notebook = withoutOutputs(readNotebook(path.join(dir, FILES.notebook)));
  const plan = {
    name,
    notebookPath,
    notebook,
    contract: { reproduces: `the run in ${path.resolve(dir)}`, expects, profiles: {} },
    profile,
    parameters,
    earlier: undefined,
    threads: threads ?? undefined,
    ...placeOf(name, out === undefined ? undefined : path.resolve(out)),
  };
  return { before, plan };
}

/** Every metric that is not what it was: in only one of both runs, or not the same to the bit. */
export function movedMetrics(before: Run['metrics'], after: Run['metrics']): Table {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const rows = names
    .filter((name) => before[name] !== after[name])
    .map((name) => [
      name,
      ...[before[name], after[name]].map((value) => (value === undefined ? 'none' : String(value))),
    ]);
  return { columns: ['metric', 'before', 'after'], rows };
}

/** What set the runs apart although their parameters are the same; a line each. */
export function originDifferences(before: Provenance, after: Provenance): readonly string[] {
  const [then, now] = [originOf(before), originOf(after)];
  return [...new Set([...Object.keys(then), ...Object.keys(now)])]
    .filter((name) => then[name] !== now[name])
    .map((name) => `${name}: ${then[name] ?? 'none'} before, ${now[name] ?? 'none'} now`);
}

function originOf({ git, engine, threads, machine, versions, data, weights }: Provenance): Record<string, string> {
  return {
    commit: git ? `${git.commit}${git.dirty ? ' with uncommitted changes' : ''}` : 'none',
    engine: engine ? `${engine.name} ${engine.version} on ${engine.device}` : 'none',
    threads: String(threads ?? 'unknown'),
    processor: machine.cpu,
    GPUs: machine.gpus.join('; ') || 'none',
    ...Object.fromEntries(Object.entries(versions).map(([name, version]) => [`version of ${name}`, version])),
    ...checksums('data', data),
    ...checksums('weights', weights),
  };
}

function checksums(kind: string, sources: readonly Source[]): Record<string, string> {
  return Object.fromEntries(sources.map(({ name, checksum }) => [`${kind} ${name}`, checksum]));
}

/** The exit status of a check: that of a run that went wrong, 3 where a metric moved, else 0. */
export function checkExit({ status, exitCode }: Outcome, moved: Table): number {
  if (status !== 'finished') return exitCode;
  return moved.rows.length > 0 ? 3 : 0;
}
