// Where a run came from: code, versions, machine.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Json } from './parameters.js';
import type { Provenance } from './runFolder.js';

/** The project's root. */
export const ROOT = path.resolve(__dirname, '../..');

const PACKAGES = ['@tensorflow/tfjs', 'danfojs-node', 'plotly.js-dist-min', 'tslab'] as const;

type Origin = Pick<Provenance, 'git' | 'versions' | 'machine'>;

/** What is known before anything runs. */
function describeOrigin(): Origin {
  return {
    git: gitState(),
    versions: versions(),
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      gpus: gpus(),
      cores: os.availableParallelism(),
      memoryBytes: os.totalmem(),
      platform: `${os.platform()} ${os.arch()} ${os.release()}`,
    },
  };
}

/** The provenance of a run that begins now. `known` says what differs from a plain beginning. */
export function newProvenance(
  known: Pick<Provenance, 'status' | 'notebook' | 'profile' | 'parameters'> & Partial<Provenance>,
): Provenance {
  return {
    ...describeOrigin(),
    exitCode: null,
    error: null,
    seed: seedOf(known.parameters),
    engine: null,
    threads: threadsIn(process.env),
    data: [],
    weights: [],
    startedAt: new Date().toISOString(),
    finishedAt: null,
    seconds: null,
    peakMemoryBytes: null,
    kernelPid: null,
    earlierAttempts: [],
    ...known,
  };
}

/** Native threads that TensorFlow starts in this environment: TF_NUM_INTRAOP_THREADS, or one a core. */
export function threadsIn(env: NodeJS.ProcessEnv): number {
  return Number(env['TF_NUM_INTRAOP_THREADS']) || os.availableParallelism();
}

/** The parameter `seed` where it is a number. */
function seedOf({ seed }: Readonly<Record<string, Json>>): number | null {
  return typeof seed === 'number' ? seed : null;
}

/** The commit, and whether files differ from it; null outside a git working tree. */
function gitState(): Origin['git'] {
  const git = (...words: string[]) =>
    execFileSync('git', words, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return { commit: git('rev-parse', 'HEAD'), dirty: git('status', '--porcelain') !== '' };
  } catch {
    return null;
  }
}

/** As NVIDIA's tool tells them: `NVIDIA H100 80GB HBM3, driver 550.54`. None where there is no such tool. */
export function gpus(): string[] {
  const query = ['--query-gpu=name,driver_version', '--format=csv,noheader'];
  try {
    const lines = execFileSync('nvidia-smi', query, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    });
    return lines
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/, (?=[^,]*$)/, ', driver '));
  } catch {
    return [];
  }
}

function versions(): Record<string, string> {
  const found: Record<string, string> = { vitlab: packageVersion(ROOT), node: process.version.slice(1) };
  for (const name of PACKAGES) {
    const folder = path.join(ROOT, 'node_modules', name);
    if (fs.existsSync(folder)) found[name] = packageVersion(folder);
  }
  const tensorflow = tensorflowWheel();
  if (tensorflow) found['tensorflow'] = tensorflow;
  return found;
}

function packageVersion(folder: string): string {
  return (JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string }).version;
}

/** The TensorFlow that the set-up unpacked, from the name of its metadata folder. */
function tensorflowWheel(): string | undefined {
  const folder = path.join(ROOT, '.vitlab', 'tensorflow');
  if (!fs.existsSync(folder)) return undefined;
  return fs
    .readdirSync(folder)
    .map((entry) => /^tensorflow(?:_cpu)?-(.+)\.dist-info$/.exec(entry)?.[1])
    .find((version) => version !== undefined);
}
