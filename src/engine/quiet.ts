// TensorFlow prints two lines to the error stream while its library loads, before any of its log settings count.
import fs from 'node:fs';

const STDERR = 2;

/**
 * Runs `load` while the process's error stream goes nowhere, then puts the stream back. Works on Linux, where an open
 * file can be opened again by its number; elsewhere, and where the stream is a socket, `load` runs as it is.
 */
export function quietly<T>(load: () => T): T {
  let saved: number;
  try {
    saved = fs.openSync(`/proc/self/fd/${STDERR}`, 'a');
  } catch {
    return load();
  }
  redirect('/dev/null');
  try {
    return load();
  } finally {
    redirect(`/proc/self/fd/${saved}`);
    fs.closeSync(saved);
  }
}

/** Opening takes the lowest free number, which is the one that was just closed. */
function redirect(target: string): void {
  fs.closeSync(STDERR);
  const opened = fs.openSync(target, 'a');
  if (opened !== STDERR) throw new Error(`The error stream reopened as ${opened} instead of ${STDERR}.`);
}
