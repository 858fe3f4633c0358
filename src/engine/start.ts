// Which device computes. `startEngine` picks the best engine that works here, or the one that VITLAB_ENGINE names, and
// every other room asks `currentEngine`.
import os from 'node:os';
import util from 'node:util';
import { nearest, UsageError, VitlabError } from '../errors.js';
import { plural } from '../words.js';
import { tensorflow } from './backend.js';
import { recordUpdate } from './capture/inPlace.js';
import { executeNative, hasNativeOp, loadNativeOps } from './nativeOps.js';
import { provideOwnOps } from './ownOps.js';
import { quietly } from './quiet.js';
import { tf } from './tf.js';
import { startWebgpu } from './webgpu.js';

export const ENGINES = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type EngineName = (typeof ENGINES)[number];

/** What computes, in words and as data for provenance. */
export interface Engine {
  readonly name: EngineName;
  /** `cpu`, `gpu`, or what the engine calls its device. */
  readonly device: string;
  /** Version of the library that computes: TensorFlow's for `tensorflow`, tfjs's otherwise. */
  readonly version: string;
  /** True where steps are recorded and replayed as graphs. */
  readonly canCapture: boolean;
  /** One line for people. */
  describe(): string;
}

let current: Engine | undefined;
let starting: Promise<Engine> | undefined;

/** tfjs-node 4.22 calls helpers that Node 23 removed from `util`. */
function restoreUtilHelpers(): void {
  const helpers = util as unknown as Record<string, unknown>;
  helpers['isNullOrUndefined'] ??= (value: unknown): boolean => value === null || value === undefined;
  helpers['isArray'] ??= Array.isArray;
}

async function startTensorflow(): Promise<Engine> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  restoreUtilHelpers();
  quietly(() => require('@tensorflow/tfjs-node-gpu'));
  await tf.setBackend('tensorflow');
  const { binding } = tensorflow();
  const device = binding.isUsingGpuDevice() ? 'gpu' : 'cpu';
  if (device === 'cpu') loadNativeOps();
  provideOwnOps('tensorflow', { has: hasNativeOp, execute: executeNative, update: recordUpdate });
  const threads = Number(process.env['TF_NUM_INTRAOP_THREADS'] ?? os.availableParallelism());
  return {
    name: 'tensorflow',
    device,
    version: binding.TF_Version,
    canCapture: true,
    describe: () =>
      `tensorflow ${binding.TF_Version} on ${device === 'gpu' ? 'GPU' : `CPU, ${plural(threads, 'thread')}`}`,
  };
}

async function startTfjs(name: 'wasm' | 'cpu'): Promise<Engine> {
  if (name === 'wasm') {
    const wasm: typeof import('@tensorflow/tfjs-backend-wasm') = require('@tensorflow/tfjs-backend-wasm');
    const folder = require.resolve('@tensorflow/tfjs-backend-wasm/package.json').replace('package.json', 'dist/');
    wasm.setWasmPaths(folder);
  }
  if (!(await tf.setBackend(name))) throw new VitlabError(`tfjs could not start its ${name} backend.`);
  await tf.ready();
  const version = tf.version['tfjs-core'];
  return { name, device: 'cpu', version, canCapture: false, describe: () => `tfjs ${version} ${name} backend` };
}

const START: Record<EngineName, () => Promise<Engine>> = {
  tensorflow: startTensorflow,
  webgpu: startWebgpu,
  wasm: () => startTfjs('wasm'),
  cpu: () => startTfjs('cpu'),
};

/** What is tried, in this order, where no engine is named. */
const PREFERENCE: readonly EngineName[] = ['tensorflow', 'wasm', 'cpu'];

/**
 * Starts the engine that `requested` (default: VITLAB_ENGINE) names, or the best that works here. Later calls give the
 * engine that runs.
 * @throws UsageError for an unknown name; VitlabError where the engine named cannot start, or another one runs already.
 */
export async function startEngine(requested: string | undefined = process.env['VITLAB_ENGINE']): Promise<Engine> {
  const name = requested ? engineName(requested) : undefined;
  starting ??= name ? START[name]() : startBest();
  try {
    current = await starting;
  } catch (error) {
    starting = undefined;
    if (error instanceof VitlabError || !name) throw error;
    throw new VitlabError(`The ${name} engine could not start: ${(error as Error).message}`, { cause: error });
  }
  if (name && current.name !== name) {
    throw new VitlabError(`The ${current.name} engine runs in this process already, so ${name} cannot be started.`);
  }
  return current;
}

function engineName(requested: string): EngineName {
  if ((ENGINES as readonly string[]).includes(requested)) return requested as EngineName;
  const guess = nearest(requested, ENGINES);
  throw new UsageError(
    `VITLAB_ENGINE is '${requested}', but must be one of ${ENGINES.join(', ')}.${guess ? ` Did you mean ${guess}?` : ''}`,
  );
}

async function startBest(): Promise<Engine> {
  const failures: string[] = [];
  for (const name of PREFERENCE) {
    try {
      return await START[name]();
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  throw new VitlabError(`No engine works here. ${failures.join(' ')} Run the set-up again: node setup.mjs`);
}

/** The engine that runs. @throws VitlabError before `startEngine`. */
export function currentEngine(): Engine {
  if (!current) throw new VitlabError('No engine runs yet: await startEngine() first.');
  return current;
}
