// What a data set is, to everything that uses one.
import { createHash } from 'node:crypto';
import type { Image } from './image.js';

export type Split = 'train' | 'test';

/** What identifies a data set: enough to open it again in another thread, and to record what a run was made from. */
export interface DatasetDescription {
  /** As given to `openDataset`. */
  spec: string;
  split: Split;
  /** The folder that holds the named data sets. */
  root: string;
  length: number;
  classes: readonly string[];
  /** `sha256:…` over the contents, or over what determines them (see the data set). */
  checksum: string;
}

/** Labelled images. */
export interface Dataset {
  readonly name: string;
  readonly classes: readonly string[];
  readonly length: number;
  readonly description: DatasetDescription;
  /** The images, where all are of one size and in memory, to be shared with workers. */
  readonly shared?: SharedImages;
  /** The file of each image, where each is one, to be read by workers. */
  readonly files?: readonly string[];
  /** The index of the class of image `index`. */
  label(index: number): number;
  /** Image `index`; the same pixels every time. Throws DataError when it cannot be read. */
  image(index: number): Promise<Image> | Image;
}

/** Images of one size in shared memory, [length, height, width, 3]. */
export interface SharedImages {
  pixels: SharedArrayBuffer;
  height: number;
  width: number;
}

/** Image `index` of shared images: a view, not a copy. */
export function sharedImage(shared: SharedImages, index: number): Image {
  const size = shared.height * shared.width * 3;
  return { data: new Uint8Array(shared.pixels, index * size, size), height: shared.height, width: shared.width };
}

/** The SHA-256 of the parts, as `sha256:…`. */
export function checksumOf(parts: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return `sha256:${hash.digest('hex')}`;
}

/** The SHA-256 over every pixel and label of a data set, however it is stored. Reads every image. */
export async function contentChecksum(dataset: Dataset): Promise<string> {
  const hash = createHash('sha256');
  for (let index = 0; index < dataset.length; index++) {
    const image = await dataset.image(index);
    hash.update(Int32Array.of(dataset.label(index), image.height, image.width)).update(image.data);
  }
  return `sha256:${hash.digest('hex')}`;
}
