// The image that all of the data room passes around, and how files become one.
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { DataError } from '../errors.js';
import { decodeSmallJpeg } from './jpeg.js';

/** An RGB image, height × width × 3, 8 bits a channel. */
export interface Image {
  data: Uint8Array;
  height: number;
  width: number;
}

// the loader's workers are the parallelism; one image must not start threads of its own
sharp.concurrency(1);
sharp.cache(false);

/** A blank image. */
export function blankImage(height: number, width: number): Image {
  return { data: new Uint8Array(height * width * 3), height, width };
}

/**
 * Decodes JPEG or PNG bytes to RGB: grey becomes RGB, alpha is dropped, 16 bits become 8, no rotation by EXIF (as
 * PIL reads it).
 *
 * @param name what the bytes are, for the message
 * @throws DataError naming the file if it cannot be decoded, or only in part.
 */
export function decodeImage(bytes: Uint8Array, name: string): Promise<Image> | Image {
  return decodeSmallJpeg(bytes) ?? decodeBySharp(bytes, name);
}

async function decodeBySharp(bytes: Uint8Array, name: string): Promise<Image> {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'truncated', limitInputPixels: 2 ** 28 })
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`it has ${info.channels} channels after decoding`);
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), height: info.height, width: info.width };
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    throw new DataError(`The image ${name} cannot be decoded (${reason}). Replace or remove the file.`, { cause });
  }
}

/** Reads and decodes an image file. Throws DataError naming the file. */
export function readImage(file: string): Promise<Image> | Image {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new DataError(`The image ${file} cannot be read: ${(cause as Error).message}.`, { cause });
  }
  return decodeImage(bytes, file);
}
