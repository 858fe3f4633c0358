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

/** Images read at the same time: decoding runs in the threads of libuv. */
const READ_AHEAD = 16;

/**
 * Makes a batch. Randomness follows from (seed, epoch, view, index) alone.
 *
 * @throws DataError for an image that cannot be read (with onError `throw`, or when none can), ShapeError when the
 * images of the batch are not of one size after the transforms.
 */
export async function makeBatch(source: BatchSource, job: BatchJob): Promise<MadeBatch> {
  const wanted = job.indices.length;
  const builder = new BatchBuilder(source, wanted);
  let failure: DataError | undefined;
  for (let start = 0; start < wanted; start += READ_AHEAD) {
    const indices = job.indices.subarray(start, start + READ_AHEAD);
    const reads = Array.from(indices, (index) => readOne(source, index));
    for (const read of reads) if (read instanceof Promise) read.catch(() => {}); // awaited below, in order
    for (const [i, index] of indices.entries()) {
      try {
        const read = reads[i]!;
        builder.add(read instanceof Promise ? await read : read, index, `augment/${job.epoch}`);
      } catch (error) {
        if (source.onError === 'throw' || !(error instanceof DataError)) throw error;
        failure = error;
      }
    }
  }
  const good = builder.indices.length;
  if (failure && good === 0) {
    throw new DataError(`None of the ${wanted} images of a batch can be read. ${failure.message}`);
  }
  for (let i = 0; job.refill && builder.indices.length < wanted; i++) {
    const index = builder.indices[i % good]!;
    builder.add(await readOne(source, index), index, `augment/${job.epoch}/refill`);
  }
  return { views: builder.finish(), indices: Int32Array.from(builder.indices), skipped: wanted - good };
}

function readOne(source: BatchSource, index: number): Promise<Image> | Image {
  const { cache } = source;
  const known = cache?.get(index);
  if (known) return known;
  let read: Promise<Image> | Image;
  try {
    read = source.image(index);
  } catch (error) {
    return Promise.reject(error);
  }
  if (read instanceof Promise) {
    return read.then((image) => {
      cache?.put(index, image);
      return image;
    });
  }
  cache?.put(index, read);
  return read;
}

/** Augments image by image, straight into the arrays of the batch. */
class BatchBuilder {
  readonly indices: number[] = [];
  private readonly views: (View | undefined)[];

  constructor(
    private readonly source: BatchSource,
    private readonly room: number,
  ) {
    this.views = source.views.map(() => undefined);
  }

  add(image: Image, index: number, purpose: string): void {
    const { views, seed } = this.source;
    for (const [v, pipeline] of views.entries()) {
      const rng = new Rng(seed, views.length === 1 ? purpose : `${purpose}/view${v}`, index);
      const pixels = pipeline.pixels(image, rng);
      const { height, width } = pixels;
      const size = height * width * 3;
      const view = this.views[v] ?? { images: new Float32Array(this.room * size), height, width };
      this.views[v] = view;
      if (height !== view.height || width !== view.width) {
        throw new ShapeError(
          `Image ${index} is ${height} × ${width} after the transforms, image ${this.indices[0]} of the same batch ` +
            `${view.height} × ${view.width}. Add a resize and a crop to one size.`,
        );
      }
      pipeline.finish(pixels, rng, view.images, this.indices.length * size);
    }
    this.indices.push(index);
  }

  /** The views, cut to the images that are in them. */
  finish(): View[] {
    return this.views.map((view) => {
      if (!view) throw new DataError('A batch has no images.');
      const length = this.indices.length * view.height * view.width * 3;
      return view.images.length === length ? view : { ...view, images: view.images.slice(0, length) };
    });
  }
}
