// Reading exact pieces of files, and writing files that appear whole or not at all, also when the machine stops.
import fs from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../errors.js';

/** Opens a file for reading. Throws CheckpointError. */
export function openForReading(file: string): number {
  try {
    return fs.openSync(file, 'r');
  } catch (error) {
    throw new CheckpointError(`Cannot open ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads `length` bytes from `position`; the caller has checked the length. Throws CheckpointError at the file's end. */
export function readExactly(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    // One read call takes at most 2^31 - 1 bytes.
    const count = fs.readSync(fd, bytes, done, Math.min(length - done, 1 << 30), position + done);
    if (count === 0)
      throw new CheckpointError(`the file ends at byte ${position + done}, expected ${length - done} more.`);
    done += count;
  }
  return bytes;
}

/** Writes a file beside its place, flushes it to the disk and moves it there; the old file stays until then. */
export function writeFileAtomic(file: string, parts: readonly Uint8Array[]): void {
  const folder = path.dirname(path.resolve(file));
  fs.mkdirSync(folder, { recursive: true });
  const temporary = path.join(folder, `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    const fd = fs.openSync(temporary, 'w');
    try {
      for (const part of parts) writeAll(fd, part);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(folder);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  // One write call takes at most 2^31 - 1 bytes.
  for (let done = 0; done < bytes.length; ) {
    done += fs.writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30));
  }
}

/** Makes the rename itself durable. Windows cannot open folders and does not need it. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const fd = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
