// Tells a cell that hangs from one that is at work: by what it says, and by the processor time that it uses.
import { durationText } from './progress.js';

/** Below this share of a core a kernel does nothing but wait. */
const IDLE_SHARE = 0.02;
/** How much longer a cell may be silent while it computes: that may be work without a progress bar. */
const COMPUTING_FACTOR = 36;

export interface StallOptions {
  /** How long a cell may neither say nor compute anything. */
  readonly stallMs: number;
  /** Processor time used so far; undefined where the system does not tell, which counts as computing. */
  readonly cpuSeconds: () => number | undefined;
  readonly now?: () => number;
}

/** Watches one cell. */
export class StallWatch {
  readonly #options: StallOptions;
  readonly #now: () => number;
  #heardAt: number;
  #busyAt: number;
  #lookedAt: number;
  #cpuSeconds: number | undefined;

  constructor(options: StallOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#heardAt = this.#busyAt = this.#lookedAt = this.#now();
    this.#cpuSeconds = options.cpuSeconds();
  }

  /** The cell has said something. */
  heard(): void {
    this.#heardAt = this.#now();
  }

  /** To be called every few seconds. Why the cell is taken as hung, or undefined. */
  look(): string | undefined {
    const now = this.#now();
    const { stallMs, cpuSeconds } = this.#options;
    const used = cpuSeconds();
    const share = ((used ?? 0) - (this.#cpuSeconds ?? 0)) / ((now - this.#lookedAt) / 1000);
    if (used === undefined || share >= IDLE_SHARE) this.#busyAt = now;
    this.#cpuSeconds = used;
    this.#lookedAt = now;
    const silent = now - this.#heardAt;
    const idle = now - Math.max(this.#heardAt, this.#busyAt);
    if (idle >= stallMs) return `neither said nor computed anything for ${durationText(idle / 1000)}`;
    if (silent >= COMPUTING_FACTOR * stallMs) return `computed for ${durationText(silent / 1000)} without a word`;
    return undefined;
  }
}
