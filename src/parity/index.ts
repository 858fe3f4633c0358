// Runs fixture cases with expected numbers against this project's own layers and readers.
import fs from 'node:fs';
import path from 'node:path';
import { startEngine } from '../engine/index.js';
import { ParityCase } from './case.js';
import { Checker, type CheckResult } from './check.js';
import { kinds, needsEngine } from './kinds.js';

export { type CaseRunner, type CaseSpec, ParityCase } from './case.js';
export { Checker, type CheckResult } from './check.js';
export { kinds, needsEngine } from './kinds.js';
export { errorShare, parseTolerance, type Tolerance } from './tolerance.js';

/** The folders below `root` (or `root` itself) that hold a case.json, sorted. */
export function findCases(root: string): string[] {
  if (fs.existsSync(path.join(root, 'case.json'))) return [root];
  return fs
    .readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => findCases(path.join(root, entry.name)))
    .sort();
}

let engine: Promise<unknown> | undefined;

/** Runs one case folder. Whatever goes wrong becomes a failure of the result; nothing is thrown. */
export async function runCase(dir: string): Promise<CheckResult> {
  try {
    const parityCase = ParityCase.open(dir);
    const { kind } = parityCase.spec;
    const runner = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
    if (!runner) return failed(`has the unknown kind ${JSON.stringify(kind)}`);
    // Readers and transforms run without an engine.
    if (needsEngine(kind)) engine ??= startEngine();
    await engine;
    const checker = new Checker(parityCase.spec, parityCase.tensors('expected'));
    await runner(parityCase, checker);
    return checker.finish();
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}

function failed(message: string): CheckResult {
  return { passed: false, checks: 0, worst: Number.POSITIVE_INFINITY, worstName: '', failures: [message] };
}
