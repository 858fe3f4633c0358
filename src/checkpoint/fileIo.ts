// Reading exact pieces of files.
import fs from 'node:fs';
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
