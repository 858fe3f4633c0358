// `vitlab run NOTEBOOK…`: executes recipes headless, each in a fresh kernel.
import fs from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { UsageError } from '../errors.js';
import { tableText } from '../plot/index.js';
import {
  checkExit,
  exitCodeOf,
  junitXml,
  markdownSummary,
  movedMetrics,
  type Outcome,
  originDifferences,
  parseAssignments,
  planCheck,
  planRuns,
  type RunLimits,
  readParams,
  readRun,
  runAll,
  writeText,
} from '../recipes/index.js';
import { plural } from '../words.js';

interface RunFlags {
  readonly parameter: readonly string[];
  readonly params?: string;
  readonly profile?: string;
  readonly out?: string;
  readonly timeout?: number;
  readonly cellTimeout?: number;
  readonly stallTimeout?: number;
  readonly resume?: boolean;
  readonly check?: string;
  readonly jobs: number;
  readonly junit?: string;
  readonly summary?: string;
}

const HELP = `
Each run folder holds notebook.ipynb (executed), metrics.json, provenance.json, report.html and checkpoints. With
several notebooks, --out holds a folder for each. Parameters are those of the cell tagged 'parameters'; -p overrides
--params, which overrides the profile. Where GITHUB_STEP_SUMMARY is set, the summary is added there by default.

Exit status: 0 success, 1 a cell failed, 2 bad usage, 3 a metric out of its expected range or missing (--check: a metric
that moved), 4 timeout or a cell that hangs, 5 the kernel died or memory ran out, 130 interrupted (Ctrl-C stops the
running cell and keeps what there is; twice ends it at once).`;

/** The `run` command. */
export function runCommand(): Command {
  return new Command('run')
    .description('execute notebooks headless, each in a fresh kernel, and check the metrics they expect')
    .argument('[notebook...]', 'notebooks to execute')
    .option('-p, --parameter <name=value>', 'override a parameter (repeatable)', append, [])
    .option('--params <file>', 'override parameters from a JSON or YAML file')
    .option('--profile <name>', "the size of the run: quick, standard or paper (default: 'standard')")
    .option('--out <dir>', 'run folder (default: runs/<notebook>-<time>)')
    .option('--timeout <seconds>', 'limit for each run', seconds)
    .option('--cell-timeout <seconds>', 'limit for each cell', seconds)
    .option(
      '--stall-timeout <seconds>',
      'end a cell that says and computes nothing for so long (default: 600)',
      seconds,
    )
    .option('--resume', 'go on with the run in --out, or with the newest unfinished run of the notebook')
    .option('--check <rundir>', 'run a finished run again, and tell every metric that moved')
    .option('--jobs <n>', 'runs at a time, which share the cores', count, 1)
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--summary <file>', 'write the results as Markdown')
    .addHelpText('after', HELP)
    .action(async (notebooks: string[], flags: RunFlags) => {
      const isCheck = flags.check !== undefined;
      if (isCheck) refuseWithCheck(notebooks, flags);
      else if (notebooks.length === 0) throw new UsageError('Name the notebooks to run, or a run folder to --check.');
      process.exitCode = isCheck ? await check(flags.check, flags) : await run(notebooks, flags);
    });
}

async function run(notebooks: readonly string[], flags: RunFlags): Promise<number> {
  const plans = planRuns({
    notebooks,
    texts: parseAssignments(flags.parameter),
    ...(flags.params !== undefined && { params: readParams(flags.params) }),
    ...(flags.profile !== undefined && { profile: flags.profile }),
    ...(flags.out !== undefined && { out: flags.out }),
    resume: flags.resume ?? false,
  });
  const outcomes = await runAll(plans, { jobs: flags.jobs, ...limitsOf(flags) });
  writeResults(outcomes, plans.length, flags);
  return exitCodeOf(outcomes, plans.length);
}

/** A checked run has its notebook, parameters and profile already. */
function refuseWithCheck(notebooks: readonly string[], { parameter, params, profile, resume }: RunFlags): void {
  const given = {
    notebooks: notebooks.length > 0,
    '-p': parameter.length > 0,
    '--params': params,
    '--profile': profile,
  };
  const [first] = Object.entries({ ...given, '--resume': resume }).find(([, value]) => value) ?? [];
  if (first) throw new UsageError(`--check runs a run again as it was: it takes no ${first}.`);
}

async function check(dir: string, flags: RunFlags): Promise<number> {
  const { before, plan } = planCheck(dir, flags.out);
  const outcomes = await runAll([plan], limitsOf(flags));
  writeResults(outcomes, 1, flags);
  const [outcome] = outcomes;
  if (outcome?.status !== 'finished') return exitCodeOf(outcomes, 1);
  const after = readRun(plan.runDir);
  const moved = movedMetrics(before.metrics, after.metrics);
  const differences = originDifferences(before.provenance, after.provenance);
  if (differences.length)
    console.log(`\nNot the same as before:\n${differences.map((line) => `  ${line}`).join('\n')}`);
  const count = Object.keys(before.metrics).length;
  console.log(
    moved.rows.length
      ? `\n${moved.rows.length} of ${plural(count, 'metric')} moved:\n${tableText(moved)}`
      : `\nThe same to the bit: ${plural(count, 'metric')}.`,
  );
  return checkExit(outcome, moved);
}

function limitsOf({ timeout, cellTimeout, stallTimeout }: RunFlags): RunLimits {
  return {
    ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
    ...(cellTimeout !== undefined && { cellTimeoutMs: cellTimeout * 1000 }),
    ...(stallTimeout !== undefined && { stallMs: stallTimeout * 1000 }),
  };
}

/** For CI: files that were asked for, and the summary of a GitHub step, which other commands may have begun. */
function writeResults(outcomes: readonly Outcome[], planned: number, { junit, summary }: RunFlags): void {
  if (junit !== undefined) writeText(junit, junitXml(outcomes));
  const ofStep = process.env['GITHUB_STEP_SUMMARY'];
  if (summary !== undefined) writeText(summary, markdownSummary(outcomes, planned));
  else if (ofStep) fs.appendFileSync(ofStep, `${markdownSummary(outcomes, planned)}\n`);
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
