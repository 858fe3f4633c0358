// Helpers of the data tests: folders that are removed again, images made by code, tar files, digests.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { DataLoader, type Dataset, type Image, type LoaderOptions } from '../../src/data/index.js';
import { Rng } from '../../src/random/index.js';

export const golden = path.join(__dirname, '..', 'fixtures', 'golden', 'data');

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'vitlab-data-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An image of random pixels. */
export function randomImage(height: number, width: number, seed = 0): Image {
  const rng = new Rng(seed, 'test image');
  return { data: Uint8Array.from({ length: height * width * 3 }, () => rng.integer(256)), height, width };
}

/** Writes `counts` PNG files of random size-`side` images for each class and split. */
export async function writeImageFolder(
  root: string,
  classes: readonly string[],
  counts: { train: number; test: number },
  side = 8,
): Promise<void> {
  let seed = 0;
  for (const split of ['train', 'test'] as const) {
    for (const name of classes) {
      const folder = path.join(root, split, name);
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < counts[split]; i++) {
        const { data } = randomImage(side, side, seed++);
        const file = path.join(folder, `${String(i).padStart(3, '0')}.png`);
        await sharp(data, { raw: { height: side, width: side, channels: 3 } })
          .png()
          .toFile(file);
      }
    }
  }
}

export function sha256(...parts: (NodeJS.ArrayBufferView | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** A digest over all that the loader gives for the epochs. */
export async function loaderDigest(
  dataset: Dataset,
  options: LoaderOptions,
  epochs: readonly number[],
): Promise<string> {
  const loader = new DataLoader(dataset, options);
  const parts: NodeJS.ArrayBufferView[] = [];
  for (const epoch of epochs) {
    for await (const batch of loader.epoch(epoch)) parts.push(batch.images, batch.labels, batch.indices);
  }
  await loader.close();
  return sha256(...parts);
}

export interface TarItem {
  name: string;
  contents?: string | Uint8Array;
  /** '0' file, '5' folder, '2' symbolic link, 'L' long name, 'x' pax. */
  type?: string;
  link?: string;
}

/** The bytes of a tar archive. */
export function tar(items: readonly TarItem[]): Buffer {
  const blocks: Buffer[] = [];
  for (const { name, contents = '', type = '0', link = '' } of items) {
    const body = Buffer.from(contents as string);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'utf8');
    header.write('0000644\0', 100);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(link, 157);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** Writes a .tar.gz and returns its place. */
export function writeTarGz(folder: string, file: string, items: readonly TarItem[]): string {
  const place = path.join(folder, file);
  writeFileSync(place, gzipSync(tar(items)));
  return place;
}
