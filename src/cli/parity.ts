// `vitlab parity DIR`: runs fixture cases and prints one line a case.
import path from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../errors.js';
import { type CheckResult, findCases, runCase } from '../parity/index.js';
import { plural } from '../words.js';
import { matches } from './glob.js';

/** The `parity` command. */
export function parityCommand(): Command {
  return new Command('parity')
    .description('run every fixture case below DIR against this build')
    .argument('<dir>', 'folder with case folders (case.json and safetensors files)')
    .option('--only <glob>', 'only cases whose path below DIR, or whose name, matches (* ? **)')
    .addHelpText('after', '\nThe last line is `N passed, N failed`; the exit status is 1 when a case failed.')
    .action(async (dir: string, options: { only?: string }) => {
      const failed = await runAll(dir, options.only);
      if (failed > 0) process.exitCode = 1;
    });
}

async function runAll(dir: string, only?: string): Promise<number> {
  const cases = listCases(dir).filter(({ name, base }) => !only || matches(only, name) || matches(only, base));
  if (cases.length === 0) {
    const what = only ? `matching ${only} ` : '';
    throw new UsageError(`No fixture case ${what}below ${dir}: expected folders that hold a case.json.`);
  }
  const width = Math.max(...cases.map(({ name }) => name.length));
  let failed = 0;
  for (const { place, name } of cases) {
    const result = await runCase(place);
    if (!result.passed) failed++;
    console.log(line(name.padEnd(width), result));
  }
  console.log(`${cases.length - failed} passed, ${failed} failed`);
  return failed;
}

function listCases(dir: string) {
  let places: string[];
  try {
    places = findCases(dir);
  } catch (error) {
    throw new UsageError(`Cannot read ${dir}: ${(error as Error).message}`, { cause: error });
  }
  return places.map((place) => {
    const name = path.relative(dir, place).split(path.sep).join('/') || path.basename(path.resolve(place));
    return { place, name, base: path.basename(path.resolve(place)) };
  });
}

function line(name: string, { passed, checks, worst, worstName, failures }: CheckResult): string {
  const where = worst > 0 && worstName ? ` (${worstName})` : '';
  const size = Number.isFinite(worst) ? worst.toPrecision(2) : String(worst);
  const error =
    checks > 0 ? `largest error ${size} of its tolerance${where}, ${plural(checks, 'check')}` : 'nothing was checked';
  if (passed) return `pass  ${name}  ${error}`;
  const more = failures.length > 3 ? `; and ${failures.length - 3} more` : '';
  return `FAIL  ${name}  ${error}: ${failures.slice(0, 3).join('; ').replace(/\s+/g, ' ')}${more}`;
}
