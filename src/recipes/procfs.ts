// What Linux tells of processes and of memory. On other systems everything here is undefined.
import fs from 'node:fs';
import os from 'node:os';

/** Fields of /proc/<pid>/stat after the name, which may hold blanks; see proc_pid_stat(5). */
const FIELD = { processGroup: 2, userTicks: 11, systemTicks: 12, startTicks: 19 } as const;
const TICKS_PER_SECOND = 100;

/** Text of a file that the kernel makes up, or undefined where there is none. */
function read(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function statFields(pid: number): readonly string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** When a process began, as a text that no other process of this id has had or will have. */
export function startOf(pid: number): string | undefined {
  const ticks = statFields(pid)?.[FIELD.startTicks];
  return ticks && `${read('/proc/sys/kernel/random/boot_id')?.trim()} ${ticks}`;
}

/** The ids of all processes; undefined where the system does not tell. */
function processIds(): readonly number[] | undefined {
  if (!fs.existsSync('/proc/self/stat')) return undefined;
  return fs
    .readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

/** Processor time that the processes of a group have used so far, in seconds. */
export function groupCpuSeconds(group: number): number | undefined {
  const ticks = processIds()
    ?.map((pid) => statFields(pid) ?? [])
    .filter((fields) => Number(fields[FIELD.processGroup]) === group)
    .map((fields) => Number(fields[FIELD.userTicks]) + Number(fields[FIELD.systemTicks]));
  return ticks && ticks.reduce((sum, value) => sum + value, 0) / TICKS_PER_SECOND;
}

/** The processes that were started with this value of an environment variable; none where the system does not tell. */
export function processesWith(name: string, value: string): readonly number[] {
  const entry = `${name}=${value}`;
  return (processIds() ?? []).filter((pid) => read(`/proc/${pid}/environ`)?.split('\0').includes(entry));
}

/** How many processes the system has killed for want of memory, in this control group and in all. */
export function oomKills(): number {
  const counters = ['/proc/vmstat', '/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control'];
  return counters.reduce((sum, file) => sum + Number(/^oom_kill (\d+)/m.exec(read(file) ?? '')?.[1] ?? 0), 0);
}

/** What processes here may use together, in bytes. */
export function memoryLimit(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem();
}
