// Makes one batch: decode, augment, normalise. The same code runs in workers and inline, so results are the same.
import { DataError, ShapeError } from '../../errors.js';
import { Rng } from '../../random/index.js';
import type { Image } from '../image.js';
import type { Pipeline } from '../transforms/index.js';
import type { PixelCache } from './cache.js';

/** What a batch is made from. */
export interface BatchSource {
  image(index: number): Promise<Image> | Image;
  cache: PixelCache | undefined;
  /** One pipeline a view. */
  views: readonly Pipeline[];
  seed: number;
  onError: 'throw' | 'skip';
}

export interface BatchJob {
  epoch: number;
  indices: Int32Array;
  /** Fill the places of skipped images with others of the batch, so that its size stays. */
  refill: boolean;
}

/** One view of a batch, [n, height, width, 3]. */
export interface View {
  images: Float32Array;
  height: number;
  width: number;
}

export interface MadeBatch {
  views: View[];
  /** The images that are in the batch, in order. */
  indices: Int32Array;
  skipped: number;
}

/**
 * Makes a batch. Randomness follows from (seed, epoch, view, index) alone.
 *
 * @throws DataError for an image that cannot be read (with onError `throw`, or when none can), ShapeError when the
 * images of the batch are not of one size after the transforms.
 */
export async function makeBatch(source: BatchSource, job: BatchJob): Promise<MadeBatch> {
  const { images, indices, skipped } = await readImages(source, job);
  const good = images.length;
  if (job.refill) {
    for (let i = 0; images.length < job.indices.length; i++) {
      images.push(images[i % good]!);
      indices.push(indices[i % good]!);
    }
  }
  const views = source.views.map((pipeline, view) => {
    const purpose = source.views.length === 1 ? `augment/${job.epoch}` : `augment/${job.epoch}/view${view}`;
    return makeView(
      pipeline,
      images,
      indices,
      (i) => new Rng(source.seed, i < good ? purpose : `${purpose}/refill`, indices[i]),
    );
  });
  return { views, indices: Int32Array.from(indices), skipped };
}

async function readImages(
  source: BatchSource,
  job: BatchJob,
): Promise<{ images: Image[]; indices: number[]; skipped: number }> {
  const images: Image[] = [];
  const indices: number[] = [];
  let failure: DataError | undefined;
  for (const index of job.indices) {
    try {
      images.push(await readOne(source, index));
      indices.push(index);
    } catch (error) {
      if (source.onError === 'throw' || !(error instanceof DataError)) throw error;
      failure = error;
    }
  }
  if (failure && images.length === 0) {
    throw new DataError(`None of the ${job.indices.length} images of a batch can be read. ${failure.message}`);
  }
  return { images, indices, skipped: job.indices.length - images.length };
}

function readOne(source: BatchSource, index: number): Promise<Image> | Image {
  const known = source.cache?.get(index);
  if (known) return known;
  const read = source.image(index);
  if (!source.cache) return read;
  return Promise.resolve(read).then((image) => {
    source.cache?.put(index, image);
    return image;
  });
}

function makeView(
  pipeline: Pipeline,
  images: readonly Image[],
  indices: readonly number[],
  rngOf: (i: number) => Rng,
): View {
  let view: View | undefined;
  for (const [i, image] of images.entries()) {
    const rng = rngOf(i);
    const pixels = pipeline.pixels(image, rng);
    const { height, width } = pixels;
    view ??= { images: new Float32Array(images.length * height * width * 3), height, width };
    if (height !== view.height || width !== view.width) {
      throw new ShapeError(
        `Image ${indices[i]} is ${height} × ${width} after the transforms, image ${indices[0]} of the same batch ` +
          `${view.height} × ${view.width}. Add a resize and a crop to one size.`,
      );
    }
    pipeline.finish(pixels, rng, view.images, i * height * width * 3);
  }
  return view ?? { images: new Float32Array(0), height: 0, width: 0 };
}
