// Transfers as data, each made in a process of its own, so that its peak memory is its own.
import { fork } from 'node:child_process';
import path from 'node:path';
import { readSafetensors } from '../checkpoint/index.js';
import { type Dataset, holdOut, openDataset } from '../data/index.js';
import * as errors from '../errors.js';
import { onKernelInterrupt } from '../kernel/index.js';
import { createModel } from '../models/index.js';
import { type StateDict, tensorOf } from '../nn/index.js';
import { type EpochRecord, Interrupted } from '../train/index.js';
import type { TuningName } from '../tuning/index.js';
import { type FoundRecord, findRecords, readRecord, type TransferRecord } from './record.js';
import { type TransferOptions, transferKey } from './transfer.js';

/** A transfer as data. */
export interface TransferJob extends Pick<TransferOptions, 'name' | 'dir' | 'budget'> {
  /** A model's name in the registry, and settings of it other than the number of classes. */
  model: string;
  settings?: Readonly<Record<string, unknown>>;
  /** A safetensors file with the values of the backbone; without one everything starts from the seed. */
  weights?: string;
  method: TuningName;
  options?: Readonly<Record<string, unknown>>;
  /** The data set, as for `openDataset`. */
  data: string;
  /** Trains on all but this share of each class's training images and evaluates on them: the test images stay unseen. */
  holdOut?: number;
}

/** What the process of a job says. */
export type JobMessage = { epoch: EpochRecord } | { error: { name: string; message: string } } | { done: true };

/** The options of the transfer that `job` describes, with the weights as tensors: `dispose` frees them. */
export async function openJob(job: TransferJob): Promise<{ options: TransferOptions; dispose(): void }> {
  const { model, settings, weights: file, data, holdOut: share, method, options, ...rest } = job;
  const train = await openDataset(data, 'train');
  const images = share === undefined ? { test: await openDataset(data, 'test') } : heldOut(train, share);
  const weights: StateDict | undefined =
    file === undefined
      ? undefined
      : Object.fromEntries(Object.entries(readSafetensors(file)).map(([name, tensor]) => [name, tensorOf(tensor)]));
  return {
    options: {
      ...rest,
      ...{ train, ...images, weights, method },
      ...(options && { options: options as NonNullable<TransferOptions['options']> }),
      build: (numClasses) => createModel(model, { ...settings, numClasses }),
    },
    dispose: () => {
      for (const tensor of Object.values(weights ?? {})) tensor.dispose();
    },
  };
}

function heldOut(train: Dataset, share: number): Pick<TransferOptions, 'indices' | 'test' | 'testIndices'> {
  const { train: indices, held } = holdOut(train, share);
  return { indices, test: train, testIndices: held };
}

/**
 * Makes the transfer in a new Node process, which does nothing else: the record has the process's peak memory. A stopped
 * job goes on when it is run again.
 * @throws Interrupted after SIGINT or a kernel interrupt; what `transfer` throws; TrainingError where the process died
 */
export async function runJob(
  job: TransferJob,
  { onEpoch }: Pick<TransferOptions, 'onEpoch'> = {},
): Promise<TransferRecord> {
  const child = fork(path.join(__dirname, 'jobProcess.cjs'), [], {
    // options of this process's command line, such as --import tsx or --test, are not for that one
    execArgv: [],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr!.on('data', (chunk) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  let last: Exclude<JobMessage, { epoch: EpochRecord }> | undefined;
  child.on('message', (message: JobMessage) => {
    if ('epoch' in message) onEpoch?.(message.epoch);
    else last = message;
  });
  const interrupt = () => void child.kill('SIGINT');
  const stopListening = onKernelInterrupt(interrupt);
  process.on('SIGINT', interrupt);
  try {
    child.send(job);
    const end = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal ?? `exit status ${code}`));
    });
    if (last && 'error' in last) throw revived(last.error);
    const record = last && readRecord(job.dir);
    if (record) return record;
    const said = /^\w*Error\b.*$/m.exec(stderr)?.[0] ?? stderr.trim().split('\n').at(-1);
    throw new errors.TrainingError(
      `The process that trained ${job.name} ended before it was done (${end}${said ? `: ${said}` : ''}). What it had ` +
        'trained is kept: run it again to go on. If the system ended it for want of memory, take smaller batches.',
    );
  } finally {
    process.off('SIGINT', interrupt);
    stopListening();
  }
}

const KNOWN: readonly (new (message: string) => Error)[] = [
  ...[errors.CheckpointError, errors.DataError, errors.ShapeError, errors.TrainingError, errors.UsageError],
  Interrupted,
];

/** The error of a job's process as one of this process's classes. */
function revived({ name, message }: { name: string; message: string }): Error {
  const known = KNOWN.find((type) => type.name === name);
  return known ? new known(message) : new errors.VitlabError(message);
}

/** A record, and whether it was there already. */
export interface CollectedRecord extends FoundRecord {
  from: 'trained' | 'read';
}

/**
 * The records of `jobs`, in their order: those that are found in or below the folders of `runs` are read, the others
 * trained one after the other (`runJob`). What is in a job's own `dir` counts as trained, so a resumed run says the same.
 */
export async function collectRecords(
  jobs: readonly TransferJob[],
  {
    runs = [],
    onJob,
    onEpoch,
  }: {
    runs?: readonly string[];
    /** Called before a job is trained, or its record taken. */
    onJob?: (job: TransferJob, from: CollectedRecord['from'], index: number) => void;
    onEpoch?: (job: TransferJob, record: EpochRecord) => void;
  } = {},
): Promise<CollectedRecord[]> {
  const known = findRecords(runs);
  const collected: CollectedRecord[] = [];
  for (const [index, job] of jobs.entries()) {
    const { options, dispose } = await openJob(job);
    const key = transferKey(options);
    dispose();
    const own = readRecord(job.dir);
    const found = own?.key === key ? undefined : known.get(key);
    onJob?.(job, found ? 'read' : 'trained', index);
    if (found) collected.push({ ...found, record: { ...found.record, name: job.name }, from: 'read' });
    else {
      const record = own?.key === key ? own : await runJob(job, { onEpoch: (epoch) => onEpoch?.(job, epoch) });
      collected.push({ record, dir: job.dir, from: 'trained' });
    }
  }
  return collected;
}
