// Looks after a kernel while it works: its memory, and whether its cell hangs.
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from '../memory.js';
import type { MemorySample } from './kernelDeath.js';
import { ENV } from './lab.js';
import { groupCpuSeconds, memoryLimit, oomKills, processesWith } from './procfs.js';
import { StallWatch } from './stallWatch.js';

/** A kernel whose client was killed ends by itself within a few seconds. */
const ORPHAN_MS = 10_000;
/** Looking at processor times means reading about every process. */
const STALL_LOOK_MS = 5000;

/** Watches one kernel; `look` is to be called every second or so. */
export class KernelWatch {
  readonly #pid: number;
  readonly #stallMs: number;
  #stall: StallWatch | undefined;
  #stallLookedAt = 0;
  #used = 0;
  #oomKills = oomKills();
  /** Most resident memory so far, in bytes. */
  peakMemory = 0;

  constructor(pid: number, stallMs: number) {
    this.#pid = pid;
    this.#stallMs = stallMs;
  }

  /** A cell begins. */
  startCell(): void {
    this.#stall = new StallWatch({ stallMs: this.#stallMs, cpuSeconds: () => groupCpuSeconds(this.#pid) });
  }

  heard(): void {
    this.#stall?.heard();
  }

  /** Why the running cell is taken as hung, or undefined. */
  look(): string | undefined {
    const memory = memoryOf(this.#pid);
    if (memory) {
      this.#used = memory.now;
      this.peakMemory = Math.max(this.peakMemory, memory.peak);
      this.#oomKills = oomKills();
    }
    const now = performance.now();
    if (now - this.#stallLookedAt < Math.min(STALL_LOOK_MS, this.#stallMs / 2)) return undefined;
    this.#stallLookedAt = now;
    return this.#stall?.look();
  }

  /** What is known of memory, for a kernel that has just died. */
  memory(): MemorySample {
    return {
      used: this.#used,
      limit: memoryLimit(),
      oomKillsBefore: this.#oomKills,
      oomKillsNow: oomKills(),
    };
  }
}

/**
 * Waits until the kernel of a killed run, and the processes that it had started, are gone: they may still write in the
 * run folder. Ends those that stay.
 */
export async function endOrphans(runDir: string): Promise<void> {
  const left = () => processesWith(ENV.runDir, runDir).filter((pid) => pid !== process.pid);
  for (const end = Date.now() + ORPHAN_MS; left().length > 0 && Date.now() < end; ) await sleep(100);
  for (const pid of left()) process.kill(pid, 'SIGKILL');
  while (left().length > 0) await sleep(100);
}
