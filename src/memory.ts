// The memory of processes, as the system tells it.
import fs from 'node:fs';

/** Resident memory of a process in bytes, now and at most so far; undefined where the system does not tell (all but Linux). */
export function memoryOf(pid: number): { now: number; peak: number } | undefined {
  try {
    // not getrusage: a child starts with the peak of the process that it was forked from
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    const bytes = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    const [now, peak] = [bytes('VmRSS'), bytes('VmHWM')];
    return now > 0 && peak > 0 ? { now, peak } : undefined;
  } catch {
    return undefined;
  }
}

/** The largest resident memory of a process so far, bytes; undefined as above. */
export function peakMemoryOf(pid: number): number | undefined {
  return memoryOf(pid)?.peak;
}
