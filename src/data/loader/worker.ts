// A thread of the data loader: makes the batches it is asked for and hands them over without copying.
import { parentPort, workerData } from 'node:worker_threads';
import { DataError } from '../../errors.js';
import { sharedImage } from '../dataset.js';
import { type Image, readImage } from '../image.js';
import { openDataset } from '../registry.js';
import { Pipeline } from '../transforms/index.js';
import { PixelCache } from './cache.js';
import { type BatchSource, makeBatch } from './makeBatch.js';
import type { JobMessage, ResultMessage, WorkerSetup } from './pool.js';

const setup = workerData as WorkerSetup;
const port = parentPort!;

type ImageReader = (index: number) => Promise<Image> | Image;

async function imageReader(): Promise<ImageReader> {
  const { description, shared, files } = setup;
  if (shared) return (index) => sharedImage(shared, index);
  if (files) return (index) => readImage(files[index]!);
  const dataset = await openDataset(description.spec, description.split, { root: description.root });
  if (dataset.description.checksum !== description.checksum) {
    throw new DataError(`The data set ${description.spec} has changed since it was opened. Open it again.`);
  }
  return (index) => dataset.image(index);
}

const source: Promise<BatchSource> = imageReader().then((image) => ({
  image,
  cache: setup.cache && new PixelCache(setup.cache),
  views: setup.views.map((specs) => new Pipeline(specs)),
  seed: setup.seed,
  onError: setup.onError,
}));
source.catch(() => {}); // every job reports it

async function serve(job: JobMessage): Promise<void> {
  try {
    const made = await makeBatch(await source, job);
    const buffers = made.views.map((view) => view.images.buffer as ArrayBuffer);
    port.postMessage({ id: job.id, made } satisfies ResultMessage, buffers);
  } catch (error) {
    const { name, message } = error as Error;
    port.postMessage({ id: job.id, error: { name, message } } satisfies ResultMessage);
  }
}

let queue: Promise<void> = Promise.resolve();
port.on('message', (job: JobMessage) => {
  queue = queue.then(() => serve(job));
});
