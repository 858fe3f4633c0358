// Getting a named data set and checking what is there: the work behind `vitlab data get` and `vitlab data verify`.
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { DataError, UsageError } from '../errors.js';
import { plural } from '../words.js';
import { checksumError, type DownloadOptions, download } from './files/download.js';
import { extractArchive } from './files/tar.js';
import { type Archive, type DatasetSource, datasetSource, openDataset, presentFiles } from './registry.js';

export interface GetOptions extends Pick<DownloadOptions, 'attempts' | 'retryMs' | 'onProgress'> {
  root: string;
  /** A folder URL to download from, in place of the official one. Default: `$VITLAB_DATA_MIRROR`. */
  from?: string | undefined;
  /** Which of the archives, by file name. Default: the first. */
  archive?: string | undefined;
  onStep?: (text: string) => void;
}

/**
 * Downloads a data set below `root` and unpacks it where that is needed. What is there and right stays.
 *
 * @returns where it is
 * @throws UsageError for a data set that cannot be downloaded, DataError when it cannot be had or has a wrong checksum.
 */
export async function getDataset(name: string, options: GetOptions): Promise<string> {
  return getArchive(chosenArchive(datasetSource(name), options.archive), options);
}

/** The same for one archive, which need not be of a known data set. */
export async function getArchive(archive: Archive, options: Omit<GetOptions, 'archive'>): Promise<string> {
  const target = path.join(options.root, archive.file);
  const folder = path.join(options.root, archive.folder);
  if (archive.unpack && existsSync(folder)) return folder;
  if (existsSync(target)) {
    const wrong = await checksumError(target, { md5: archive.md5 });
    if (wrong) throw new DataError(`${target} has ${wrong}. Remove it and run the same command again.`);
  } else {
    const url = archiveUrl(archive, options.from);
    options.onStep?.(`downloading ${url}`);
    await download(url, target, { ...options, md5: archive.md5 });
  }
  if (!archive.unpack) return target;
  options.onStep?.(`unpacking ${target}`);
  await extractArchive(target, folder, { inner: archive.folder });
  return folder;
}

function chosenArchive(source: DatasetSource, wanted: string | undefined): Archive {
  const [first] = source.archives;
  if (!first) throw new UsageError(`${source.name} is nothing to download: ${source.about}.`);
  if (wanted === undefined) return first;
  const found = source.archives.find(({ file }) => file === wanted);
  if (found) return found;
  throw new UsageError(
    `${source.name} has no archive ${wanted}; it has ${source.archives.map(({ file }) => file).join(', ')}.`,
  );
}

function archiveUrl(archive: Archive, from: string | undefined): string {
  const base = from ?? process.env['VITLAB_DATA_MIRROR'] ?? archive.baseUrl;
  if (!/^https?:\/\//.test(base)) throw new UsageError(`${base} is no http address to download from.`);
  return new URL(archive.file, base.endsWith('/') ? base : `${base}/`).href;
}

/**
 * Checks a data set below `root`: archives against their official MD5, and that both splits can be read.
 *
 * @returns one line on each thing that was checked
 * @throws DataError for the first thing that is wrong or missing.
 */
export async function verifyDataset(name: string, root: string): Promise<string[]> {
  const source = datasetSource(name.split(/[:?]/)[0]!);
  const lines: string[] = [];
  if (source.archives.length > 0 && presentFiles(source, root).length === 0) {
    throw new DataError(`${name} is not in ${root}. Get it with: npx vitlab data get ${name}`);
  }
  for (const { file, md5 } of source.archives) {
    const place = path.join(root, file);
    if (!existsSync(place) || !statSync(place).isFile()) continue;
    const wrong = await checksumError(place, { md5 });
    if (wrong) throw new DataError(`${place} has ${wrong}. Remove it and download it again.`);
    lines.push(`${file}: MD5 ${md5} is right`);
  }
  for (const split of ['train', 'test'] as const) {
    const dataset = await openDataset(name, split, { root });
    await dataset.image(0);
    await dataset.image(dataset.length - 1);
    lines.push(
      `${split}: ${plural(dataset.length, 'image')} of ${plural(dataset.classes.length, 'class', 'classes')}, ${dataset.description.checksum}`,
    );
  }
  return lines;
}
