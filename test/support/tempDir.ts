// A folder of one test file's own, removed when the tests end.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

/** A function that gives places in a new temporary folder. */
export function tempDir(): (name: string) => string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-test-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return (name) => path.join(folder, name);
}
