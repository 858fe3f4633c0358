// Runs one planned notebook in a fresh kernel, cell by cell, and leaves a run folder that tells the truth at every
// moment: provenance.json says `running` until all else is written.
import path from 'node:path';
import { type ExecuteResult, Kernel, KernelDiedError } from '../kernel/index.js';
import { conclude, messageOf } from './conclude.js';
import { checkMetrics } from './contract.js';
import { deathOf, saysOutOfMemory } from './kernelDeath.js';
import { endOrphans, KernelWatch } from './kernelWatch.js';
import { ENV } from './lab.js';
import { type Cell, hasTag, type Notebook, type Output, writeJson, writeNotebook } from './notebook.js';
import { type CellOutcome, type Ending, EXIT, type Outcome } from './outcome.js';
import type { Plan } from './plan.js';
import { progressText } from './progress.js';
import { newProvenance, threadsIn } from './provenance.js';
import { clearRecorded, FILES, type Provenance, readRecorded } from './runFolder.js';

export interface RunLimits {
  /** For the whole run, the kernel's start included. */
  readonly timeoutMs?: number;
  readonly cellTimeoutMs?: number;
  /** How long a cell may neither say nor compute anything; default ten minutes. See `StallWatch`. */
  readonly stallMs?: number;
  /** Native threads of the kernel; default as the environment says, or one a core. */
  readonly threads?: number;
}

export interface Progress {
  /** Number of the code cell that runs, from 1; 0 while the kernel starts. */
  readonly cell: number;
  readonly cells: number;
  /** The last line that the cell said. */
  readonly text: string;
}

/** How long an interrupted cell may take to end before its kernel is killed. */
const INTERRUPT_MS = 15_000;
const LOOK_MS = 500;
const STALL_MS = 600_000;

const FINISHED: Ending = { status: 'finished', error: null };

/** One run. `interrupt` may be called at any time. */
export class Runner {
  readonly #plan: Plan;
  readonly #limits: RunLimits;
  readonly #onProgress: (progress: Progress) => void;
  readonly #notebook: Notebook;
  readonly #cells: CellOutcome[] = [];
  readonly #startedAt = new Date();
  readonly #starting = new AbortController();
  #kernel: Kernel | undefined;
  #watch: KernelWatch | undefined;
  #cell: { readonly number: number; readonly startedAt: number } | undefined;
  /** Why the run is to end before its notebook does. */
  #stop: Ending | undefined;

  constructor(plan: Plan, limits: RunLimits = {}, onProgress: (progress: Progress) => void = () => {}) {
    this.#plan = plan;
    this.#limits = limits;
    this.#onProgress = onProgress;
    this.#notebook = structuredClone(plan.notebook);
  }

  /** Runs to the end, whatever that is: what goes wrong is an outcome, not an exception. */
  async run(): Promise<Outcome> {
    const { earlier, runDir, claim } = this.#plan;
    try {
      if (earlier?.status === 'finished') return this.#alreadyFinished(earlier);
      if (earlier) await endOrphans(runDir);
      const provenance = this.#firstProvenance();
      clearRecorded(runDir);
      writeJson(path.join(runDir, FILES.provenance), provenance);
      writeJson(path.join(runDir, FILES.metrics), {});
      this.#writeNotebook();
      return this.#conclude(provenance, await this.#execute(provenance));
    } finally {
      claim.release();
    }
  }

  /** Stops the running cell, and the run after it; the second call ends the kernel at once. */
  interrupt(): void {
    if (this.#stop) void this.#kernel?.kill();
    const where = this.#cell ? `in cell ${this.#cell.number}` : 'while its kernel started';
    this.#end({ status: 'interrupted', error: `Interrupted ${where}.` });
  }

  /** Interrupts what runs; the first reason counts. */
  #end(ending: Ending): void {
    if (this.#stop) return;
    this.#stop = ending;
    this.#starting.abort();
    const kernel = this.#kernel;
    kernel?.interrupt();
    setTimeout(() => void kernel?.kill(), INTERRUPT_MS).unref();
  }

  /** Runs the cells; ends the kernel whatever happens. */
  async #execute(provenance: Provenance): Promise<Ending> {
    const looking = setInterval(() => this.#look(), LOOK_MS);
    try {
      return await this.#runCells(provenance);
    } catch (error) {
      return { status: 'failed', error: messageOf(error) };
    } finally {
      clearInterval(looking);
      this.#watch?.look();
      await this.#kernel?.shutdown();
    }
  }

  async #runCells(provenance: Provenance): Promise<Ending> {
    const cells = this.#notebook.cells.filter((cell) => cell.cell_type === 'code' && cell.source.trim() !== '');
    this.#onProgress({ cell: 0, cells: cells.length, text: '' });
    let kernel: Kernel;
    try {
      kernel = await Kernel.start({ env: this.#environment(provenance), signal: this.#starting.signal });
    } catch (error) {
      return this.#stop ?? { status: 'died', error: `The kernel did not start: ${messageOf(error)}` };
    }
    this.#kernel = kernel;
    this.#watch = new KernelWatch(kernel.pid!, this.#limits.stallMs ?? STALL_MS);
    writeJson(path.join(this.#plan.runDir, FILES.provenance), { ...provenance, kernelPid: kernel.pid });
    let ending = this.#stop ?? FINISHED;
    for (const [index, cell] of cells.entries()) {
      if (ending.status === 'finished') ending = await this.#runCell(kernel, cell, index + 1, cells.length);
      else this.#cells.push({ label: labelOf(cell, index + 1), status: 'skipped', seconds: 0 });
    }
    if (ending.status !== 'finished') return ending;
    // Errors that escaped from the last cell, such as a rejection that nobody handles, fail the next one: an empty one.
    const left = await this.#executeCell(kernel, '', cells.length, () => {});
    return left.ending;
  }

  async #runCell(kernel: Kernel, cell: Cell, number: number, cells: number): Promise<Ending> {
    const startedAt = performance.now();
    this.#cell = { number, startedAt };
    const say = (text: string) => this.#onProgress({ cell: number, cells, text });
    say('');
    const { result, ending: end } = await this.#executeCell(kernel, cell.source, number, say);
    const meant = end.status === 'failed' && hasTag(cell, 'raises-exception');
    const ending = meant ? FINISHED : end;
    const seconds = (performance.now() - startedAt) / 1000;
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

  /** Runs code as cell `number`; tells how that ended, and `say`s the last line of what it says. */
  async #executeCell(kernel: Kernel, source: string, number: number, say: (text: string) => void) {
    const watch = this.#watch!;
    watch.startCell();
    const onOutput = (output: ExecuteResult['outputs'][number]) => {
      watch.heard();
      const text = progressText(output);
      if (text) say(text);
    };
    try {
      const result: Partial<ExecuteResult> = await kernel.execute(source, { onOutput });
      return { result, ending: this.#endingOf(result, number) };
    } catch (error) {
      if (!(error instanceof KernelDiedError)) throw error;
      const { status, error: how } = deathOf(error, watch.memory());
      const result: Partial<ExecuteResult> = { outputs: error.outputs };
      return { result, ending: this.#stop ?? { status, error: `Cell ${number}: ${how}` } };
    }
  }

  #endingOf({ status, error }: Partial<ExecuteResult>, number: number): Ending {
    if (status === 'ok') return FINISHED;
    if (this.#stop) return this.#stop;
    const { ename = 'Error', evalue = '', traceback = [] } = error ?? {};
    const memory = saysOutOfMemory([evalue, ...traceback].join('\n'));
    const what = `${ename}: ${firstLine(evalue)}`;
    return memory
      ? { status: 'out-of-memory', error: `Cell ${number} ran out of memory: ${what}` }
      : { status: 'failed', error: `Cell ${number} failed: ${what}` };
  }

  #environment({ threads }: Provenance): NodeJS.ProcessEnv {
    const { runDir, profile, parameters, earlier } = this.#plan;
    return {
      ...process.env,
      // The kernel runs on this very node, whatever else the PATH offers.
      PATH: [path.dirname(process.execPath), process.env['PATH']].join(path.delimiter),
      TF_NUM_INTRAOP_THREADS: String(threads),
      [ENV.runDir]: runDir,
      [ENV.profile]: profile,
      [ENV.parameters]: JSON.stringify(parameters),
      [ENV.resume]: earlier ? '1' : '0',
    };
  }

  /** Ends what takes too long or hangs. */
  #look(): void {
    const { timeoutMs, cellTimeoutMs } = this.#limits;
    const stalled = this.#watch?.look();
    const where = this.#cell ? `in cell ${this.#cell.number}` : 'while its kernel started';
    const late = (what: string, ms: number) =>
      this.#end({
        status: 'timeout',
        error: `${what} took longer than ${ms / 1000} s and was stopped ${where}. Give it more time.`,
      });
    if (timeoutMs !== undefined && Date.now() - this.#startedAt.getTime() >= timeoutMs) late('The run', timeoutMs);
    else if (cellTimeoutMs !== undefined && this.#cell && performance.now() - this.#cell.startedAt >= cellTimeoutMs) {
      late('The cell', cellTimeoutMs);
    } else if (stalled) {
      this.#end({
        status: 'hung',
        error: `Cell ${this.#cell?.number} hangs: it ${stalled}. If that is work, give --stall-timeout more seconds.`,
      });
    }
  }

  /** What the run became, written in its folder. */
  #conclude(provenance: Provenance, ending: Ending): Outcome {
    this.#writeNotebook();
    const facts = {
      finishedAt: new Date().toISOString(),
      seconds: (Date.now() - this.#startedAt.getTime()) / 1000,
      peakMemoryBytes: this.#watch?.peakMemory ?? 0,
      kernelPid: this.#kernel?.pid ?? null,
    };
    return conclude(this.#plan, this.#notebook, { ...provenance, ...facts }, ending, this.#cells);
  }

  #alreadyFinished(earlier: Provenance): Outcome {
    const { name, runDir, contract, profile } = this.#plan;
    const { metrics } = readRecorded(runDir);
    const checks = checkMetrics(contract, profile, metrics);
    const { status, error, seconds } = earlier;
    const exitCode = earlier.exitCode ?? EXIT[status];
    return { name, runDir, status, exitCode, error, cells: [], checks, metrics, seconds: seconds ?? 0 };
  }

  #firstProvenance(): Provenance {
    const { earlier, notebookPath, profile, parameters, threads } = this.#plan;
    const attempt = earlier && { status: earlier.status, startedAt: earlier.startedAt, seconds: earlier.seconds ?? 0 };
    return newProvenance({
      status: 'running',
      notebook: notebookPath,
      profile,
      parameters: { ...parameters },
      threads: threads ?? this.#limits.threads ?? threadsIn(process.env),
      startedAt: this.#startedAt.toISOString(),
      earlierAttempts: attempt ? [...earlier.earlierAttempts, attempt] : [],
    });
  }

  #writeNotebook(): void {
    writeNotebook(path.join(this.#plan.runDir, FILES.notebook), this.#notebook);
  }
}

function labelOf(cell: Cell, number: number): string {
  return `cell ${number}: ${firstLine(cell.source).slice(0, 60)}`;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!;
}
