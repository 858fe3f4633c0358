// `vitlab run NOTEBOOK…`: executes recipes headless, each in a fresh kernel.
import { Command, InvalidArgumentError } from 'commander';
import { exitCodeOf, junitXml, parseAssignments, planRuns, readParams, runAll, writeText } from '../recipes/index.js';

interface RunFlags {
  readonly parameter: readonly string[];
  readonly params?: string;
  readonly profile?: string;
  readonly out?: string;
  readonly timeout?: number;
  readonly cellTimeout?: number;
  readonly resume?: boolean;
  readonly jobs: number;
  readonly junit?: string;
}

const HELP = `
Each run folder holds notebook.ipynb (executed), metrics.json, provenance.json, report.html and checkpoints. With
several notebooks, --out holds a folder for each. Parameters are those of the cell tagged 'parameters'; -p overrides
--params, which overrides the profile.

Exit status: 0 success, 1 a cell failed, 2 bad usage, 3 a metric out of its expected range or missing, 4 timeout,
5 the kernel died, 130 interrupted (Ctrl-C stops the running cell and keeps what there is; twice ends it at once).`;

/** The `run` command. */
export function runCommand(): Command {
  return new Command('run')
    .description('execute notebooks headless, each in a fresh kernel, and check the metrics they expect')
    .argument('<notebook...>', 'notebooks to execute, one after the other')
    .option('-p, --parameter <name=value>', 'override a parameter (repeatable)', append, [])
    .option('--params <file>', 'override parameters from a JSON or YAML file')
    .option('--profile <name>', "the size of the run: quick, standard or paper (default: 'standard')")
    .option('--out <dir>', 'run folder (default: runs/<notebook>-<time>)')
    .option('--timeout <seconds>', 'limit for each run', seconds)
    .option('--cell-timeout <seconds>', 'limit for each cell', seconds)
    .option('--resume', 'go on with the run in --out, or with the newest unfinished run of the notebook')
    .option('--jobs <n>', 'runs at a time', count, 1)
    .option('--junit <file>', 'write the results as JUnit XML')
    .addHelpText('after', HELP)
    .action(async (notebooks: string[], flags: RunFlags) => {
      const plans = planRuns({
        notebooks,
        texts: parseAssignments(flags.parameter),
        ...(flags.params !== undefined && { params: readParams(flags.params) }),
        ...(flags.profile !== undefined && { profile: flags.profile }),
        ...(flags.out !== undefined && { out: flags.out }),
        resume: flags.resume ?? false,
      });
      const outcomes = await runAll(plans, {
        jobs: flags.jobs,
        ...(flags.timeout !== undefined && { timeoutMs: flags.timeout * 1000 }),
        ...(flags.cellTimeout !== undefined && { cellTimeoutMs: flags.cellTimeout * 1000 }),
      });
      if (flags.junit !== undefined) writeText(flags.junit, junitXml(outcomes));
      process.exitCode = exitCodeOf(outcomes, plans.length);
    });
}

function append(word: string, words: readonly string[]): string[] {
  return [...words, word];
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It takes a positive number of seconds.');
}

function count(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes a positive whole number.');
}
