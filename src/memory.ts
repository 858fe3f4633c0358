// The memory of processes, as the system tells it.
import fs from 'node:fs';

/** The largest resident memory of a process so far, bytes; undefined where the system does not tell (all but Linux). */
export function peakMemoryOf(pid: number): number | undefined {
  try {
    // not getrusage: a child starts with the peak of the process that it was forked from
    const kilobytes = /^VmHWM:\s*(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
