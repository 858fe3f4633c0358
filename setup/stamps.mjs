// Stamps: a step that is through leaves `.vitlab/setup/<step>.json` with the hash of what it was made from.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const folder = (root) => path.join(root, '.vitlab', 'setup');
const stampFile = (root, step) => path.join(folder(root), `${step.name}.json`);

/** Where half-made things lie until they are whole. On the same disk as the clone, so that a rename is all it takes. */
export const temporary = (root) => path.join(root, '.vitlab', 'tmp');

export function emptyTemporary(root) {
  rmSync(temporary(root), { recursive: true, force: true, maxRetries: 3 });
  mkdirSync(temporary(root), { recursive: true });
}

/** sha256 of a file's content, or `missing`. */
export function fileHash(file) {
  return existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'missing';
}

/** The steps that have to be run, in order: not stamped, made from other inputs, damaged, or after one that is due. */
export function dueSteps(root, steps) {
  const due = new Set();
  const digests = {};
  return steps.filter((step) => {
    const before = step.after.map((name) => digests[name]);
    step.digest = createHash('sha256')
      .update(JSON.stringify([step.inputs, before]))
      .digest('hex');
    digests[step.name] = step.digest;
    const stamp = readStamp(root, step);
    const whole =
      stamp?.digest === step.digest &&
      step.outputs.every((file) => existsSync(path.join(root, file))) &&
      step.intact(stamp.made ?? {}) &&
      !step.after.some((name) => due.has(name));
    if (!whole) due.add(step.name);
    return !whole;
  });
}

function readStamp(root, step) {
  try {
    return JSON.parse(readFileSync(stampFile(root, step), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Says that a step is through; `made` is what `step.intact` is asked with later. */
export function writeStamp(root, step, made) {
  const file = stampFile(root, step);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, `${JSON.stringify({ digest: step.digest, inputs: step.inputs, made }, null, 2)}\n`);
  renameSync(`${file}.tmp`, file);
}

export function forget(root, step) {
  rmSync(stampFile(root, step), { force: true });
}
