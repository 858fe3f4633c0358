// Threads that make batches. They never keep the process alive, except while a caller waits for one of them.
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import * as errors from '../../errors.js';
import type { DatasetDescription, SharedImages } from '../dataset.js';
import type { TransformSpec } from '../transforms/index.js';
import type { CacheMemory } from './cache.js';
import type { BatchJob, MadeBatch } from './makeBatch.js';

/** What a worker is started with. */
export interface WorkerSetup {
  description: DatasetDescription;
  shared: SharedImages | undefined;
  files: readonly string[] | undefined;
  cache: CacheMemory | undefined;
  views: readonly (readonly TransformSpec[])[];
  seed: number;
  onError: 'throw' | 'skip';
}

export interface JobMessage extends BatchJob {
  id: number;
}

export type ResultMessage = { id: number; made: MadeBatch } | { id: number; error: { name: string; message: string } };

interface Waiting {
  resolve(made: MadeBatch): void;
  reject(error: Error): void;
}

interface Member {
  worker: Worker;
  waiting: Map<number, Waiting>;
}

export class WorkerPool {
  private readonly members: Member[];
  private nextId = 0;
  private closed = false;

  constructor(count: number, setup: WorkerSetup) {
    this.members = Array.from({ length: count }, () => this.start(setup));
  }

  /** How many threads run. */
  get size(): number {
    return this.closed ? 0 : this.members.length;
  }

  private start(setup: WorkerSetup): Member {
    // options of the parent's command line, such as --import tsx or --test, are not for the worker
    const worker = new Worker(path.join(__dirname, 'worker.cjs'), { workerData: setup, execArgv: [] });
    const member: Member = { worker, waiting: new Map() };
    worker.unref();
    worker.on('message', (message: ResultMessage) => {
      const waiting = member.waiting.get(message.id);
      member.waiting.delete(message.id);
      if ('made' in message) waiting?.resolve(message.made);
      else waiting?.reject(revive(message.error));
    });
    worker.on('error', (error) => this.fail(member, error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.fail(member, new errors.DataError('A worker of the data loader has stopped.')));
    return member;
  }

  private fail(member: Member, error: Error): void {
    for (const { reject } of member.waiting.values()) reject(error);
    member.waiting.clear();
  }

  /** Hands a job to the worker with the shortest queue. */
  run(job: BatchJob): Promise<MadeBatch> {
    const member = this.members.reduce((best, one) => (one.waiting.size < best.waiting.size ? one : best));
    const id = this.nextId++;
    const message: JobMessage = { ...job, id };
    const made = new Promise<MadeBatch>((resolve, reject) => member.waiting.set(id, { resolve, reject }));
    // a batch that is prefetched but never asked for must not raise an unhandled rejection
    made.catch(() => {});
    member.worker.postMessage(message);
    return made;
  }

  /** Waits for a promise of `run` with the process kept alive. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    for (const { worker } of this.members) worker.ref();
    try {
      return await promise;
    } finally {
      for (const { worker } of this.members) worker.unref();
    }
  }

  /** Stops all threads. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.members.map(({ worker }) => worker.terminate()));
  }
}

/** The error of a worker, as one of this thread's classes. */
function revive({ name, message }: { name: string; message: string }): Error {
  const known = [errors.DataError, errors.ShapeError, errors.UsageError].find((type) => type.name === name);
  return known ? new known(message) : new Error(message);
}
