// `vitlab bench`: our layers against PyTorch's on this machine, interleaved, a JSON line a row.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import sharp from 'sharp';
import { machine } from '../../bench/machine.js';
import { type Measurement, measure } from '../../bench/measure.js';
import { type Baseline, compareWith, readBaseline } from '../../bench/regression.js';
import { type DataRow, type ModelRow, SUITES } from '../../bench/rows.js';
import { openDataset } from '../data/index.js';
import { UsageError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { METRIC_EXIT } from '../recipes/index.js';
import { plural } from '../words.js';
import { matches } from './glob.js';

interface Flags {
  readonly suite: keyof typeof SUITES | 'all';
  readonly only?: readonly string[];
  readonly torch?: string;
  readonly compile: boolean;
  readonly quick?: boolean;
  readonly rounds?: number;
  readonly out?: string;
  readonly baseline?: string;
  readonly tolerance: number;
}

const ROUNDS = { quick: 5, full: 9 };

/** The `bench` command. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('measure this build against PyTorch on this machine, interleaved')
    .addOption(new Option('--suite <name>', 'what to measure').choices([...Object.keys(SUITES), 'all']).default('all'))
    .option('--only <glob...>', 'rows whose names match one of these, such as "*Swin-T*fp32"')
    .option(
      '--torch <python>',
      'a Python with torch, torchvision and timm (npm run bench:peers makes one); without it only this build is measured',
    )
    .option('--no-compile', 'leave torch.compile out')
    .option('--quick', 'fewer rows and rounds')
    .option('--rounds <n>', 'rounds of each side in a row', parseRounds)
    .option('--out <file>', 'also write the rows and the machine to this JSON file')
    .option('--baseline <file>', 'an earlier --out; exit status 3 where a ratio of the same row is worse')
    .option('--tolerance <share>', 'how much worse a ratio may be', parseShare, 0.15)
    .action(run);
}

function parseShare(text: string): number {
  const share = Number(text);
  if (!(share > 0 && share < 1)) throw new InvalidArgumentError('It is a number between 0 and 1.');
  return share;
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new InvalidArgumentError('It is a whole number from 1 on.');
  }
  return rounds;
}

async function run({ suite, only, torch, compile, quick = false, rounds, out, ...flags }: Flags): Promise<void> {
  const rows = chosen(suite, quick, only);
  const baseline = flags.baseline === undefined ? undefined : readBaseline(flags.baseline);
  const load = os.loadavg()[0]!;
  if (load > 0.5)
    console.error(`The load of this machine is ${load.toFixed(1)}: figures of a busy machine say little.`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-bench-'));
  const options = { rounds: rounds ?? (quick ? ROUNDS.quick : ROUNDS.full), compile, folder, ...(torch && { torch }) };
  const measured: Measurement[] = [];
  try {
    for (const row of rows) {
      if (row.kind === 'data') await makeImages(row, folder);
      const result = await measure(row, options);
      measured.push(result);
      console.log(JSON.stringify(result));
      // after every row: a suite takes most of an hour, and whoever stops it keeps what was measured
      if (out) writeReport(out, { suite, quick, torch: torch !== undefined, load, rows: measured });
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  if (baseline) judge(baseline, measured, flags.tolerance);
}

/** Says on stderr what got worse, and exits with 3 if something did. */
function judge(baseline: Baseline, measured: readonly Measurement[], tolerance: number): void {
  const { compared, worse } = compareWith(baseline, measured, tolerance);
  if (compared === 0) throw new UsageError('The baseline has no ratio in common with what was measured.');
  for (const line of worse) console.error(line);
  console.error(`${worse.length} of ${plural(compared, 'ratio')} worse by more than ${Math.round(100 * tolerance)} %`);
  if (worse.length > 0) process.exitCode = METRIC_EXIT;
}

function chosen(suite: Flags['suite'], quick: boolean, only: Flags['only']): (ModelRow | DataRow)[] {
  const suites = suite === 'all' ? Object.values(SUITES) : [SUITES[suite]];
  const rows = suites
    .flat()
    .filter((row) => (!quick || row.quick) && (!only || only.some((glob) => matches(glob, row.name))));
  if (rows.length === 0) {
    throw new UsageError(`No row${quick ? ' of the quick ones' : ''} of ${suite} matches ${only?.join(', ')}.`);
  }
  return rows;
}

/** JPEG files in the layout of an image folder, drawn from the embedded data. */
async function makeImages(row: DataRow, folder: string): Promise<void> {
  const dataset = await openDataset(`shapes10?train=${row.images}`, 'train');
  for (let i = 0; i < dataset.length; i++) {
    const place = path.join(folder, 'train', dataset.classes[dataset.label(i)]!);
    fs.mkdirSync(place, { recursive: true });
    const { data, width, height } = await dataset.image(i);
    await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 92 })
      .toFile(path.join(place, `${i}.jpg`));
  }
}

/** An argument as a shell takes it. */
const quoted = (argument: string): string =>
  /^[\w./=:-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

function writeReport(out: string, report: object): void {
  const command = ['npx vitlab', ...process.argv.slice(2).map(quoted)].join(' ');
  writeFileAtomic(out, [Buffer.from(`${JSON.stringify({ command, machine: machine(), ...report }, null, 1)}\n`)]);
}
