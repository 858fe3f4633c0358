// The data loader: batches in an order and with augmentation that follow from (seed, epoch, index) alone, made ahead of
// time in worker threads, the same however many workers there are.
import os from 'node:os';
import { UsageError } from '../../errors.js';
import { Rng } from '../../random/index.js';
import { plural } from '../../words.js';
import { checksumOf, type Dataset } from '../dataset.js';
import { Pipeline, type TransformSpec } from '../transforms/index.js';
import { type CacheMemory, cacheMemory, PixelCache } from './cache.js';
import { type BatchJob, type BatchSource, type MadeBatch, makeBatch } from './makeBatch.js';
import { WorkerPool } from './pool.js';

export interface LoaderOptions {
  batchSize: number;
  /** The pipeline of every image. Default: floats from 0 to 1. */
  transforms?: readonly TransformSpec[];
  /** Several pipelines, each giving its own view of every image (contrastive learning); in place of `transforms`. */
  views?: readonly (readonly TransformSpec[])[];
  /** Default 0. */
  seed?: number;
  /** A new order every epoch. Default false. */
  shuffle?: boolean;
  /** Leave out a last batch that is not full. Then every batch is full: see `onError`. Default false. */
  dropLast?: boolean;
  /** Only these images. */
  indices?: ArrayLike<number>;
  /** Threads; 0 makes the batches inline. Default: one less than the processors, at most 4. */
  workers?: number;
  /** Batches made ahead. Default: two a worker. */
  prefetch?: number;
  /**
   * What an unreadable image does. `throw` (default): a DataError that names it. `skip`: it is left out and counted;
   * with `dropLast` its place is taken by another image of the batch, augmented anew.
   */
  onError?: 'throw' | 'skip';
  /** Memory for decoded images. Default 1 GiB. */
  cacheBytes?: number;
}

interface BatchFields {
  /** [n] */
  labels: Int32Array;
  /** Which images of the data set these are, [n]. */
  indices: Int32Array;
  /** How many unreadable images were left out. */
  skipped: number;
}

/** Images and labels. */
export interface Batch extends BatchFields {
  /** [n, height, width, 3], NHWC. */
  images: Float32Array;
  shape: [number, number, number, number];
}

/** Several views of the same images. */
export interface ViewBatch extends BatchFields {
  images: Float32Array[];
  shapes: [number, number, number, number][];
}

export interface LoaderStats {
  batches: number;
  images: number;
  skipped: number;
  /** Wall time inside epochs, training included. */
  seconds: number;
  /** The part of it that the caller waited for batches. */
  waitedSeconds: number;
  imagesPerSecond: number;
}

/** What a loader with these options gives. */
export type BatchOf<O> = O extends { views: readonly (readonly TransformSpec[])[] } ? ViewBatch : Batch;

const GIBIBYTE = 2 ** 30;
const IDLE_MS = 30_000;

/** Loads a data set batch by batch: `for await (const batch of loader.epoch(3)) …`. */
export class DataLoader<const O extends LoaderOptions = LoaderOptions> {
  private readonly pipelines: readonly Pipeline[];
  private readonly indices: Int32Array;
  private readonly seed: number;
  private readonly workers: number;
  private readonly prefetch: number;
  private memory: CacheMemory | undefined;
  private pool: WorkerPool | undefined;
  private idle: NodeJS.Timeout | undefined;
  /** Counts the epochs begun: an iterator whose number is not the last has been replaced. */
  private begun = 0;
  private readonly counts = { batches: 0, images: 0, skipped: 0, milliseconds: 0, waited: 0 };

  /** @throws UsageError for an option that makes no sense or a transform that does not exist. */
  constructor(
    readonly dataset: Dataset,
    readonly options: O,
  ) {
    const { views, transforms } = options;
    if (views && transforms) throw new UsageError('A loader takes transforms or views, not both.');
    if (views?.length === 0) throw new UsageError('views needs at least one pipeline.');
    whole('batchSize', options.batchSize, 1);
    this.pipelines = (views ?? [transforms ?? []]).map((specs) => new Pipeline(specs));
    this.seed = whole('seed', options.seed ?? 0, -(2 ** 31));
    this.workers = whole('workers', options.workers ?? Math.min(4, os.availableParallelism() - 1), 0);
    this.prefetch = whole('prefetch', options.prefetch ?? 2 * this.workers, 0);
    this.indices = options.indices
      ? Int32Array.from(options.indices)
      : Int32Array.from({ length: dataset.length }, (_, i) => i);
    const wrong = this.indices.find((index) => !(index >= 0 && index < dataset.length));
    if (wrong !== undefined)
      throw new UsageError(`The data set has ${plural(dataset.length, 'image')}; there is no image ${wrong}.`);
    if (options.dropLast && this.batches === 0) {
      throw new UsageError(
        `${plural(this.indices.length, 'image')} cannot fill a batch of batchSize ${options.batchSize}, and dropLast leaves ` +
          'out batches that are not full. Take a smaller batchSize, or more images.',
      );
    }
  }

  get batchSize(): number {
    return this.options.batchSize;
  }

  /** What decides its batches: the data's checksum, the pipelines, seed and order. */
  get identity(): string {
    const { shuffle = false, dropLast = false } = this.options;
    const pipelines = this.pipelines.map(({ specs }) => specs);
    const parts = [this.dataset.description.checksum, pipelines, this.seed, shuffle, dropLast, [...this.indices]];
    return checksumOf([JSON.stringify(parts)]);
  }

  /** Batches an epoch. */
  get batches(): number {
    const { batchSize, dropLast } = this.options;
    return (dropLast ? Math.floor : Math.ceil)(this.indices.length / batchSize);
  }

  /** Threads that run now. */
  get activeWorkers(): number {
    return this.pool?.size ?? 0;
  }

  /** The indices of all images of an epoch, in its order. */
  order(epoch: number): Int32Array {
    if (!this.options.shuffle) return this.indices.slice();
    return new Rng(this.seed, 'loader/order', epoch).permutation(this.indices.length).map((i) => this.indices[i]!);
  }

  /**
   * The batches of an epoch, from `startBatch` on. Leaving the loop early, or an error, stops the workers; beginning
   * another epoch ends this one.
   *
   * @throws DataError for an unreadable image, ShapeError when images of a batch differ in size.
   */
  async *epoch(epoch: number, options: { startBatch?: number } = {}): AsyncGenerator<BatchOf<O>, void, undefined> {
    whole('epoch', epoch, 0);
    const first = whole('startBatch', options.startBatch ?? 0, 0);
    const run = ++this.begun;
    const started = performance.now();
    let finished = false;
    clearTimeout(this.idle);
    try {
      const next = await this.producer(epoch, first);
      for (let batch = first; batch < this.batches; batch++) {
        const asked = performance.now();
        const made = await next();
        this.counts.waited += performance.now() - asked;
        this.count(made);
        yield this.finish(made);
        if (run !== this.begun) throw new UsageError('This epoch ended when another was begun on the same loader.');
      }
      finished = true;
    } finally {
      this.counts.milliseconds += performance.now() - started;
      if (run === this.begun) {
        if (finished) this.idle = setTimeout(() => void this.close(), IDLE_MS).unref();
        else await this.close();
      }
    }
  }

  /** Stops the workers. They start again with the next epoch. */
  async close(): Promise<void> {
    clearTimeout(this.idle);
    const { pool } = this;
    this.pool = undefined;
    await pool?.close();
  }

  /** What the loader has done so far. */
  stats(): LoaderStats {
    const { batches, images, skipped, milliseconds, waited } = this.counts;
    const seconds = milliseconds / 1000;
    const imagesPerSecond = seconds > 0 ? images / seconds : 0;
    return { batches, images, skipped, seconds, waitedSeconds: waited / 1000, imagesPerSecond };
  }

  /** A function that gives one batch after the other, made ahead where there are workers. */
  private async producer(epoch: number, first: number): Promise<() => Promise<MadeBatch>> {
    const jobs = this.jobs(epoch, first);
    await this.prepareCache();
    if (this.workers === 0) {
      const source = this.source();
      return () => makeBatch(source, jobs.next().value as BatchJob);
    }
    this.pool ??= new WorkerPool(this.workers, {
      description: this.dataset.description,
      shared: this.dataset.shared,
      files: this.dataset.files,
      cache: this.memory,
      views: this.pipelines.map((pipeline) => pipeline.specs),
      seed: this.seed,
      onError: this.options.onError ?? 'throw',
    });
    const { pool } = this;
    const ahead: Promise<MadeBatch>[] = [];
    const fill = () => {
      while (ahead.length <= this.prefetch) {
        const job = jobs.next();
        if (job.done) return;
        ahead.push(pool.run(job.value));
      }
    };
    fill();
    return async () => {
      const made = await pool.wait(ahead.shift()!);
      fill();
      return made;
    };
  }

  private *jobs(epoch: number, first: number): Generator<BatchJob, void, undefined> {
    const { batchSize, dropLast = false } = this.options;
    const order = this.order(epoch);
    for (let batch = first; batch < this.batches; batch++) {
      yield { epoch, indices: order.slice(batch * batchSize, (batch + 1) * batchSize), refill: dropLast };
    }
  }

  private source(): BatchSource {
    return {
      image: (index) => this.dataset.image(index),
      cache: this.memory && new PixelCache(this.memory),
      views: this.pipelines,
      seed: this.seed,
      onError: this.options.onError ?? 'throw',
    };
  }

  /** Sets the cache up, as large as the first images suggest that all of them need, within the limit. */
  private async prepareCache(): Promise<void> {
    const limit = this.options.cacheBytes ?? GIBIBYTE;
    if (this.memory || this.dataset.shared || limit <= 0) return;
    let largest = 0;
    for (const index of this.indices.subarray(0, 8)) {
      const bytes = await Promise.resolve(index)
        .then((wanted) => this.dataset.image(wanted))
        .then(
          (image) => image.data.length,
          () => 0, // the batch that it is in reports it
        );
      largest = Math.max(largest, bytes);
    }
    this.memory = cacheMemory(this.dataset.length, Math.min(limit, (largest + 16) * this.indices.length));
  }

  private count(made: MadeBatch): void {
    this.counts.batches++;
    this.counts.images += made.indices.length;
    this.counts.skipped += made.skipped;
  }

  private finish(made: MadeBatch): BatchOf<O> {
    const { indices, skipped, views } = made;
    const fields: BatchFields = { labels: indices.map((index) => this.dataset.label(index)), indices, skipped };
    const shapes = views.map((view): Batch['shape'] => [indices.length, view.height, view.width, 3]);
    const batch: Batch | ViewBatch = this.options.views
      ? { images: views.map((view) => view.images), shapes, ...fields }
      : { images: views[0]!.images, shape: shapes[0]!, ...fields };
    return batch as BatchOf<O>;
  }
}

function whole(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new UsageError(`${name} must be a whole number from ${least}, got ${value}.`);
}
