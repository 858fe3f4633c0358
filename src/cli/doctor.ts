// `vitlab doctor`: what computes here, in which versions, which data sets there are, and what is missing.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { version } from '../../package.json';
import { dataRoot, datasetSources, presentFiles } from '../data/index.js';
import { type Engine, startEngine, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import { findChromium } from '../recipes/index.js';
import { plural } from '../words.js';

const ROOT = path.resolve(__dirname, '../..');
const SET_UP = `run the set-up: node ${path.join(ROOT, 'setup.mjs')}`;

/** Something that is not there. Without what is `needed`, vitlab does not work. */
export interface Lack {
  what: string;
  remedy: string;
  needed: boolean;
}

/** What the doctor found; `null` stands for what is not there. */
export interface Diagnosis {
  engine: { name: string; device: string; version: string; description: string } | null;
  versions: Record<'vitlab' | 'node' | 'tensorflow' | 'tfjs' | 'tslab' | 'jupyterlab' | 'python', string | null>;
  machine: { system: string; cpu: string; cores: number; memoryBytes: number; nvidiaDriver: string | null };
  data: { root: string; sets: { name: string; about: string; state: 'embedded' | 'present' | 'absent' }[] };
  missing: Lack[];
}

/** The `doctor` command. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('show engine, device, versions and data sets, and what is missing here and how to get it')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nThe exit status is 1 when something is missing without which vitlab does not work.')
    .action(async (options: { json?: boolean }) => {
      const diagnosis = await diagnose();
      console.log(options.json ? JSON.stringify(diagnosis, undefined, 2) : page(diagnosis));
      if (diagnosis.missing.some(({ needed }) => needed)) process.exitCode = 1;
    });
}

/**
 * Looks at this machine. Starts the engine.
 * @throws UsageError where VITLAB_ENGINE is no engine's name.
 */
export async function diagnose(): Promise<Diagnosis> {
  const missing: Lack[] = [];
  const lack = (what: string, remedy: string, needed: boolean) => missing.push({ what, remedy, needed });

  const engine = await findEngine(lack);
  const python = fromPython('import platform; print(platform.python_version())');
  const jupyterlab = fromPython('from importlib.metadata import version; print(version("jupyterlab"))');
  if (jupyterlab === null) lack('JupyterLab is not installed in .venv', SET_UP, true);
  const tslab = packageVersion('tslab');
  if (tslab === null) lack('The notebook kernel tslab is not installed', SET_UP, true);
  const driver = nvidiaDriver();
  if (driver !== null && engine?.name === 'tensorflow' && engine.device === 'cpu') {
    const remedy = `install TensorFlow with CUDA: node ${path.join(ROOT, 'setup.mjs')} --gpu`;
    lack('There is an NVIDIA driver, but TensorFlow computes on the CPU', remedy, false);
  }
  if (findChromium() === undefined) {
    const remedy =
      'install it (Debian, Ubuntu: apt-get install chromium fonts-dejavu-core), or set CHROMIUM to its path';
    lack('There is no Chromium, which `vitlab plot`, `vitlab gallery` and the browser tests use', remedy, false);
  }
  return {
    engine: engine && {
      name: engine.name,
      device: engine.device,
      version: engine.version,
      description: engine.describe(),
    },
    versions: {
      vitlab: version,
      node: process.versions.node,
      tensorflow: engine?.name === 'tensorflow' ? engine.version : null,
      tfjs: tf.version['tfjs-core'] ?? null,
      tslab,
      jupyterlab,
      python,
    },
    machine: {
      system: `${os.type()} ${os.release()} ${os.arch()}`,
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      cores: os.availableParallelism(),
      memoryBytes: Math.min(os.totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
      nvidiaDriver: driver,
    },
    data: dataSets(),
    missing,
  };
}

/** The engine that VITLAB_ENGINE names, else TensorFlow, else whatever starts; what did not start is a lack. */
async function findEngine(lack: (what: string, remedy: string, needed: boolean) => void): Promise<Engine | null> {
  const named = process.env['VITLAB_ENGINE'];
  try {
    return await startEngine(named || 'tensorflow');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    lack(firstSentence(error), SET_UP, Boolean(named));
    if (named) return null;
  }
  try {
    return await startEngine();
  } catch (error) {
    lack(firstSentence(error), SET_UP, true);
    return null;
  }
}

function firstSentence(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.trim().replace(/\.$/, '');
}

/** What the set-up's own Python prints, or null where it cannot. */
function fromPython(program: string): string | null {
  try {
    const python = path.join(ROOT, '.venv', 'bin', 'python');
    return execFileSync(python, ['-c', program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

function packageVersion(name: string): string | null {
  const file = path.join(ROOT, 'node_modules', name, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : null;
}

/** The driver's version, 'unknown' where only its devices are seen, or null. */
function nvidiaDriver(): string | null {
  const file = '/proc/driver/nvidia/version';
  if (existsSync(file)) return / (\d+\.[\d.]+) /.exec(readFileSync(file, 'utf8'))?.[1] ?? 'unknown';
  return existsSync('/dev') && readdirSync('/dev').some((name) => /^nvidia\d+$/.test(name)) ? 'unknown' : null;
}

function dataSets(): Diagnosis['data'] {
  const root = dataRoot();
  const named = datasetSources().filter(({ name }) => name !== 'imagefolder');
  const sets = named.map((source) => {
    const { name, about, archives } = source;
    if (archives.length === 0) return { name, about, state: 'embedded' } as const;
    return { name, about, state: presentFiles(source, root).length > 0 ? 'present' : 'absent' } as const;
  });
  return { root, sets };
}

function page({ engine, versions, machine, data, missing }: Diagnosis): string {
  const rows: [string, string][] = [
    ['engine', engine?.description ?? 'none'],
    ['device', engine?.device ?? 'none'],
    ...Object.entries(versions).map(([name, value]): [string, string] => [name, value ?? 'none']),
    ['system', machine.system],
    ['processor', `${machine.cpu}, ${plural(machine.cores, 'core')}`],
    ['memory', `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    ['NVIDIA driver', machine.nvidiaDriver === null ? 'no' : `yes (${machine.nvidiaDriver})`],
    ['data', data.root],
    ...data.sets.map(({ name, state }): [string, string] => [
      `  ${name}`,
      state === 'absent' ? `absent: npx vitlab data get ${name}` : state,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lacks = missing.map(({ what, remedy }) => `missing: ${what}; ${remedy}.`);
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    ...(lacks.length > 0 ? lacks : ['Nothing is missing.']),
  ].join('\n');
}
