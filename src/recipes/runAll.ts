// Several runs, a few at a time, with one status board and one way to stop them.
import type { Plan } from './plan.js';
import { durationText } from './progress.js';
import { type Outcome, type RunLimits, Runner } from './runner.js';
import { StatusBoard } from './statusBoard.js';

export interface RunAllOptions extends RunLimits {
  /** Runs at a time; default 1. */
  readonly jobs?: number;
}

/** Which exit status stands for several runs: the first of these that one of them has. */
const SEVERITY = [130, 5, 4, 1, 3, 0] as const;

/**
 * Runs all plans and prints how each ended. SIGINT and SIGTERM stop the runs after their running cell is interrupted, and
 * keep what there is; a second one ends the kernels at once. Runs that have not begun are left out of the result.
 */
export async function runAll(plans: readonly Plan[], options: RunAllOptions = {}): Promise<readonly Outcome[]> {
  const { jobs = 1, ...limits } = options;
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
    for (let next = waiting.shift(); next && !stopped; next = waiting.shift()) {
      const [index, plan] = next;
      board.start(plan.runDir, plan.name);
      const runner = new Runner(plan, limits, (progress) => board.update(plan.runDir, progress));
      active.add(runner);
      try {
        const outcome = await runner.run();
        outcomes[index] = outcome;
        board.done(plan.runDir, endText(outcome, plan));
      } finally {
        active.delete(runner);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, plans.length) }, work));
  } finally {
    board.close();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
  return outcomes.filter((outcome): outcome is Outcome => outcome !== undefined);
}

/** The exit status for all runs together; where fewer ended than were planned, they were interrupted. */
export function exitCodeOf(outcomes: readonly Outcome[], planned = outcomes.length): number {
  if (outcomes.length < planned) return SEVERITY[0];
  return SEVERITY.find((code) => outcomes.some(({ exitCode }) => exitCode === code)) ?? 0;
}

function endText({ name, status, seconds, error, runDir, checks, cells }: Outcome, plan: Plan): string {
  if (plan.earlier?.status === 'finished') return `${name}: finished before, nothing to resume: ${runDir}`;
  const passed = checks.filter((check) => check.passed).length;
  const metrics = checks.length ? `, ${passed} of ${checks.length} expected metrics in range` : '';
  const count = status === 'finished' ? `${cells.length} cells in ${durationText(seconds)}` : durationText(seconds);
  return `${name}: ${status}, ${count}${metrics}: ${runDir}${error ? `\n  ${error}` : ''}`;
}
