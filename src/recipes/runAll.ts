// Several runs, a few at a time, with one status board and one way to stop them.
import fs from 'node:fs';
import { plural } from '../words.js';
import { EXIT, type Outcome } from './outcome.js';
import type { Plan } from './plan.js';
import { durationText } from './progress.js';
import { threadsIn } from './provenance.js';
import { type RunLimits, Runner } from './runner.js';
import { StatusBoard } from './statusBoard.js';

export interface RunAllOptions extends RunLimits {
  /** Runs at a time; default 1. */
  readonly jobs?: number;
}

/**
 * Runs all plans and prints how each ended. SIGINT and SIGTERM stop the runs after their running cell is interrupted, and
 * keep what there is; a second one ends the kernels at once. Runs that have not begun are left out of the result.
 */
export async function runAll(plans: readonly Plan[], options: RunAllOptions = {}): Promise<readonly Outcome[]> {
  const { jobs = 1, ...limits } = options;
  const together = Math.min(jobs, plans.length);
  const threads = fairThreads(together);
  const board = new StatusBoard();
  const waiting = [...plans.entries()];
  const outcomes: (Outcome | undefined)[] = plans.map(() => undefined);
  const active = new Set<Runner>();
  let stopped = false;
  const stop = () => {
    stopped = true;
    for (const runner of active) runner.interrupt();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const work = async () => {
    while (waiting.length > 0 && !stopped) {
      const [index, plan] = waiting.shift()!;
      board.start(plan.runDir, plan.name);
      const runner = new Runner(plan, { threads, ...limits }, (progress) => board.update(plan.runDir, progress));
      active.add(runner);
      const outcome = await runner.run().catch((error) => brokenOutcome(plan, error));
      active.delete(runner);
      outcomes[index] = outcome;
      board.done(plan.runDir, endText(outcome, plan));
    }
  };
  try {
    await Promise.all(Array.from({ length: together }, work));
  } finally {
    board.close();
    process.off('SIGINT', stop).off('SIGTERM', stop);
    for (const [, plan] of waiting) giveUp(plan);
  }
  return outcomes.filter((outcome): outcome is Outcome => outcome !== undefined);
}

/** Threads of each of so many kernels: an equal share, unless the environment says how many. */
export function fairThreads(kernels: number, env: NodeJS.ProcessEnv = process.env): number {
  const all = threadsIn(env);
  return env['TF_NUM_INTRAOP_THREADS'] ? all : Math.max(1, Math.floor(all / Math.max(1, kernels)));
}

/** A run that could not even leave its folder in order, such as on a full disk. */
function brokenOutcome({ name, runDir }: Plan, error: unknown): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  return {
    name,
    runDir,
    status: 'failed',
    exitCode: EXIT.failed,
    error: message,
    cells: [],
    checks: [],
    metrics: {},
    seconds: 0,
  };
}

/** Leaves nothing of a run that never began. */
function giveUp({ claim, runDir }: Plan): void {
  claim.release();
  if (fs.readdirSync(runDir).length === 0) fs.rmdirSync(runDir);
}

function endText({ name, status, seconds, error, runDir, checks, cells }: Outcome, plan: Plan): string {
  if (plan.earlier?.status === 'finished') return `${name}: finished before, nothing to resume: ${runDir}`;
  const passed = checks.filter((check) => check.passed).length;
  const metrics = checks.length ? `, ${passed} of ${plural(checks.length, 'expected metric')} in range` : '';
  const count =
    status === 'finished' ? `${plural(cells.length, 'cell')} in ${durationText(seconds)}` : durationText(seconds);
  return `${name}: ${status}, ${count}${metrics}: ${runDir}${error ? `\n  ${error}` : ''}`;
}
