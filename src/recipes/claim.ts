// Who runs in a run folder: at most one process at a time, and one that was killed holds nothing.
//
// Each attempt at a run has a number and a file `.attempt-<number>` that names its process. The file appears whole and
// for one process alone (a hard link to a finished file); the next number is free once the process of the last is gone.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { startOf } from './procfs.js';

const ownerSchema = z.object({ pid: z.number(), start: z.string().optional() });
type Owner = z.infer<typeof ownerSchema>;

const NAME = /^\.attempt-(\d+)$/;

/** The right to run in a folder. */
export interface Claim {
  /** Gives it back; the folder's run is over. */
  release(): void;
}

/** Claims a run folder that is there. @throws UsageError where another process runs in it */
export function claimRun(dir: string): Claim {
  for (;;) {
    const owner = ownerOf(dir);
    if (owner && isAlive(owner)) {
      throw new UsageError(
        `${dir} is in use: process ${owner.pid} runs in it. Wait for its end, or give another --out.`,
      );
    }
    const number = Math.max(0, ...attempts(dir)) + 1;
    if (!take(fileOf(dir, number))) continue;
    return {
      release: () => {
        for (const older of attempts(dir)) if (older <= number) fs.rmSync(fileOf(dir, older), { force: true });
      },
    };
  }
}

/** True while a process runs in the folder. */
export function isClaimed(dir: string): boolean {
  const owner = ownerOf(dir);
  return owner !== undefined && isAlive(owner);
}

/** False where another process was first. */
function take(file: string): boolean {
  const own: Owner = { pid: process.pid, start: startOf(process.pid) };
  const whole = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(whole, JSON.stringify(own));
  try {
    fs.linkSync(whole, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    fs.rmSync(whole, { force: true });
  }
}

function attempts(dir: string): readonly number[] {
  return fs
    .readdirSync(dir)
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number);
}

/** The process of the last attempt. */
function ownerOf(dir: string): Owner | undefined {
  const last = Math.max(0, ...attempts(dir));
  if (last === 0) return undefined;
  try {
    return ownerSchema.parse(JSON.parse(fs.readFileSync(fileOf(dir, last), 'utf8')));
  } catch {
    // Files of living processes are whole; this one is gone, or the machine stopped before it was on the disk.
    return undefined;
  }
}

/** The process lives, and is not a later one of the same id. */
function isAlive({ pid, start }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return start === undefined || startOf(pid) === start;
}

function fileOf(dir: string, number: number): string {
  return path.join(dir, `.attempt-${number}`);
}
