// Runs one planned notebook in a fresh kernel, cell by cell, and leaves a run folder that tells the truth at every
// moment: provenance.json says `running` until all else is written.
import path from 'node:path';
import { type ExecuteResult, Kernel, KernelDiedError, KernelTimeoutError } from '../kernel/index.js';
import { peakMemoryOf } from '../memory.js';
import { type Check, checkMetrics, rangeText } from './contract.js';
import { ENV } from './lab.js';
import { type Cell, hasTag, type Notebook, type Output, writeJson, writeNotebook, writeText } from './notebook.js';
import type { Plan } from './plan.js';
import { progressText } from './progress.js';
import { newProvenance } from './provenance.js';
import { renderReport } from './report.js';
import { clearRecorded, FILES, type Provenance, readRecorded, readRun, type Status } from './runFolder.js';

export interface RunLimits {
  /** For the whole run, the kernel's start included. */
  readonly timeoutMs?: number;
  readonly cellTimeoutMs?: number;
}

export interface Progress {
  /** Number of the code cell that runs, from 1; 0 while the kernel starts. */
  readonly cell: number;
  readonly cells: number;
  /** The last line that the cell said. */
  readonly text: string;
}

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
  readonly seconds: number;
}

/** Exit status of a command by how its run ended. A finished run with a metric out of range gives METRIC_EXIT. */
const EXIT: Readonly<Record<Status, number>> = {
  finished: 0,
  failed: 1,
  timeout: 4,
  died: 5,
  interrupted: 130,
  running: 1,
  interactive: 0,
};
const METRIC_EXIT = 3;

/** How long an interrupted cell may take to end before its kernel is killed. */
const INTERRUPT_MS = 15_000;
const MEMORY_SAMPLE_MS = 1000;

interface Ending {
  readonly status: Status;
  readonly error: string | null;
}

/** One run. `interrupt` may be called at any time. */
export class Runner {
  readonly #plan: Plan;
  readonly #limits: RunLimits;
  readonly #onProgress: (progress: Progress) => void;
  readonly #notebook: Notebook;
  readonly #cells: CellOutcome[] = [];
  readonly #startedAt = new Date();
  #kernel: Kernel | undefined;
  #interrupts = 0;
  #peakMemory = 0;

  constructor(plan: Plan, limits: RunLimits = {}, onProgress: (progress: Progress) => void = () => {}) {
    this.#plan = plan;
    this.#limits = limits;
    this.#onProgress = onProgress;
    this.#notebook = structuredClone(plan.notebook);
  }

  /** Runs to the end, whatever that is: a failed cell is an outcome, not an exception. */
  async run(): Promise<Outcome> {
    const { earlier, runDir } = this.#plan;
    if (earlier?.status === 'finished') return this.#alreadyFinished(earlier);
    clearRecorded(runDir);
    const provenance = this.#firstProvenance();
    writeJson(path.join(runDir, FILES.provenance), provenance);
    writeJson(path.join(runDir, FILES.metrics), {});
    this.#writeNotebook();
    const sampling = setInterval(() => this.#sampleMemory(), MEMORY_SAMPLE_MS);
    let ending: Ending;
    try {
      ending = await this.#execute(provenance);
    } finally {
      clearInterval(sampling);
      this.#sampleMemory();
      await this.#kernel?.shutdown();
    }
    this.#writeNotebook();
    return this.#conclude(provenance, ending);
  }

  /** Stops the running cell, and the run after it; the second call ends the kernel at once. */
  interrupt(): void {
    this.#interrupts++;
    const kernel = this.#kernel;
    if (!kernel) return;
    if (this.#interrupts > 1) {
      void kernel.kill();
      return;
    }
    kernel.interrupt();
    setTimeout(() => void kernel.kill(), INTERRUPT_MS).unref();
  }

  async #execute(provenance: Provenance): Promise<Ending> {
    const { runDir, profile, parameters, earlier } = this.#plan;
    const env = {
      ...process.env,
      // The kernel runs on this very node, whatever else the PATH offers.
      PATH: [path.dirname(process.execPath), process.env['PATH']].join(path.delimiter),
      [ENV.runDir]: runDir,
      [ENV.profile]: profile,
      [ENV.parameters]: JSON.stringify(parameters),
      [ENV.resume]: earlier ? '1' : '0',
    };
    const code = this.#notebook.cells.filter((cell) => cell.cell_type === 'code' && cell.source.trim() !== '');
    this.#onProgress({ cell: 0, cells: code.length, text: 'starting the kernel' });
    try {
      this.#kernel = await Kernel.start({ env });
    } catch (error) {
      return { status: 'died', error: `The kernel did not start: ${messageOf(error)}` };
    }
    writeJson(path.join(runDir, FILES.provenance), { ...provenance, kernelPid: this.#kernel.pid ?? null });
    let ending: Ending = { status: 'finished', error: null };
    for (const [index, cell] of code.entries()) {
      if (ending.status === 'finished' && this.#interrupts > 0) ending = this.#interrupted(index + 1);
      if (ending.status === 'finished') {
        ending = await this.#runCell(this.#kernel, cell, index + 1, code.length);
      } else {
        this.#cells.push({ label: labelOf(cell, index + 1), status: 'skipped', seconds: 0 });
      }
    }
    return ending;
  }

  async #runCell(kernel: Kernel, cell: Cell, number: number, cells: number): Promise<Ending> {
    const started = performance.now();
    const say = (text: string) => this.#onProgress({ cell: number, cells, text });
    say('');
    let result: Partial<ExecuteResult> = {};
    let ending: Ending = { status: 'finished', error: null };
    try {
      const timeoutMs = this.#timeLeft();
      if (timeoutMs !== undefined && timeoutMs <= 0) throw new KernelTimeoutError('No time was left for it.', []);
      result = await kernel.execute(cell.source, {
        ...(timeoutMs !== undefined && { timeoutMs }),
        onOutput: (output) => {
          const text = progressText(output);
          if (text) say(text);
        },
      });
      if (result.status !== 'ok') {
        const { ename = 'Error', evalue = '' } = result.error ?? {};
        ending = { status: 'failed', error: `Cell ${number} failed: ${ename}: ${firstLine(evalue)}` };
      }
    } catch (error) {
      if (error instanceof KernelTimeoutError) ending = { status: 'timeout', error: this.#timeoutText(number) };
      else if (error instanceof KernelDiedError) ending = { status: 'died', error: `Cell ${number}: ${error.message}` };
      else throw error;
      result = { outputs: error.outputs };
    }
    if (this.#interrupts > 0 && ending.status !== 'finished') ending = this.#interrupted(number);
    if (ending.status === 'failed' && hasTag(cell, 'raises-exception')) ending = { status: 'finished', error: null };
    const seconds = (performance.now() - started) / 1000;
    cell.outputs = (result.outputs ?? []) as Output[];
    cell.execution_count = result.executionCount ?? null;
    cell.metadata = { ...cell.metadata, vitlab: { seconds: Number(seconds.toFixed(3)) } };
    this.#cells.push({
      label: labelOf(cell, number),
      status: ending.status === 'finished' ? 'ok' : 'failed',
      seconds,
      ...(ending.error && { error: [ending.error, ...(result.error?.traceback ?? [])].join('\n') }),
    });
    this.#writeNotebook();
    return ending;
  }

  #timeoutText(number: number): string {
    const { timeoutMs, cellTimeoutMs } = this.#limits;
    const wholeRun = timeoutMs !== undefined && Date.now() >= this.#startedAt.getTime() + timeoutMs;
    const [what, limit] = wholeRun ? ['The run', timeoutMs] : ['The cell', cellTimeoutMs];
    return `${what} took longer than ${(limit ?? 0) / 1000} s and was stopped in cell ${number}. Give it more time.`;
  }

  #interrupted(number: number): Ending {
    return { status: 'interrupted', error: `Interrupted in cell ${number}.` };
  }

  /** Milliseconds that the next cell may take. */
  #timeLeft(): number | undefined {
    const { timeoutMs, cellTimeoutMs } = this.#limits;
    const limits = [cellTimeoutMs, timeoutMs && this.#startedAt.getTime() + timeoutMs - Date.now()];
    const given = limits.filter((limit): limit is number => limit !== undefined);
    return given.length ? Math.min(...given) : undefined;
  }

  /** Writes the report, then the final provenance: whoever reads `finished` finds all files. */
  #conclude(provenance: Provenance, { status, error }: Ending): Outcome {
    const { runDir, contract, profile, name } = this.#plan;
    const recorded = readRecorded(runDir);
    const { metrics, records } = recorded;
    const checks = status === 'finished' ? checkMetrics(contract, profile, metrics) : [];
    const failed = checks.filter(({ passed }) => !passed);
    const exitCode = failed.length ? METRIC_EXIT : EXIT[status];
    const final: Provenance = {
      ...provenance,
      status,
      exitCode,
      error: failed.length ? failed.map(checkText).join(' ') : error,
      engine: records?.engine ?? null,
      data: records?.data ?? [],
      weights: records?.weights ?? [],
      finishedAt: new Date().toISOString(),
      seconds: (Date.now() - this.#startedAt.getTime()) / 1000,
      peakMemoryBytes: Math.max(this.#peakMemory, records?.peakMemoryBytes ?? 0) || null,
      kernelPid: this.#kernel?.pid ?? null,
    };
    const run = { dir: runDir, provenance: final, ...recorded };
    writeText(path.join(runDir, FILES.report), renderReport(run, this.#notebook, contract));
    writeJson(path.join(runDir, FILES.provenance), final);
    return {
      name,
      runDir,
      status,
      exitCode,
      error: final.error,
      cells: this.#cells,
      checks,
      seconds: final.seconds ?? 0,
    };
  }

  #alreadyFinished(earlier: Provenance): Outcome {
    const { name, runDir, contract, profile } = this.#plan;
    const checks = checkMetrics(contract, profile, readRun(runDir).metrics);
    const { status, error, seconds } = earlier;
    const exitCode = earlier.exitCode ?? EXIT[status];
    return { name, runDir, status, exitCode, error, cells: [], checks, seconds: seconds ?? 0 };
  }

  #firstProvenance(): Provenance {
    const { earlier, notebookPath, profile, parameters } = this.#plan;
    const attempt = earlier && { status: earlier.status, startedAt: earlier.startedAt, seconds: earlier.seconds ?? 0 };
    return newProvenance({
      status: 'running',
      notebook: notebookPath,
      profile,
      parameters: { ...parameters },
      startedAt: this.#startedAt.toISOString(),
      earlierAttempts: attempt ? [...earlier.earlierAttempts, attempt] : [],
    });
  }

  #sampleMemory(): void {
    const pid = this.#kernel?.pid;
    if (pid !== undefined) this.#peakMemory = Math.max(this.#peakMemory, peakMemoryOf(pid) ?? 0);
  }

  #writeNotebook(): void {
    writeNotebook(path.join(this.#plan.runDir, FILES.notebook), this.#notebook);
  }
}

/** `accuracy is 0.1, but at least 0.4 was expected.` */
export function checkText({ metric, expected, seen }: Check): string {
  const range = rangeText(expected);
  return seen === undefined
    ? `${metric} was never recorded, but ${range} was expected.`
    : `${metric} is ${seen}, but ${range} was expected.`;
}

function labelOf(cell: Cell, number: number): string {
  return `cell ${number}: ${firstLine(cell.source).slice(0, 60)}`;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
