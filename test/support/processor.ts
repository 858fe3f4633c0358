// What the processor of this machine can do.
import fs from 'node:fs';

/** Whether Linux names all of these among the flags of its first processor. */
export function processorHas(...flags: string[]): boolean {
  const known = /^flags\s*:.*$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[0].split(' ') ?? [];
  return flags.every((flag) => known.includes(flag));
}
