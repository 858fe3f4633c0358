// CIFAR-10 and CIFAR-100 from the official archives (https://www.cs.toronto.edu/~kriz/cifar.html): the Python and the
// binary version, as .tar.gz or unpacked.
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../../errors.js';
import { plural } from '../../words.js';
import { checksumOf, type Dataset, type SharedImages, type Split, sharedImage } from '../dataset.js';
import { fileHash } from '../files/hash.js';
import { archiveStream, collect, tarEntries } from '../files/tar.js';
import { onlyParameters, type ParsedSpec } from '../spec.js';
import { ByteMatrix, readNumpyPickle, stringList } from './numpyPickle.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;
const IMAGE_BYTES = 3 * PLANE;
const MAX_FILE_BYTES = 512 * 2 ** 20;

export type CifarName = 'cifar10' | 'cifar100';

/** One official archive. */
export interface CifarArchive {
  file: string;
  folder: string;
  md5: string;
  form: 'python' | 'binary';
}

interface CifarKind {
  classes: number;
  archives: readonly CifarArchive[];
  splits: Readonly<Record<Split, readonly string[]>>;
  /** Of the Python version: the file of class names, and the keys of names and labels. */
  python: { meta: string; names: string; labels: string; coarse?: string };
  /** Of the binary version: the file of class names; each record is so many label bytes, the last one the class. */
  binary: { names: string; labelBytes: number };
}

export const CIFAR_KINDS: Readonly<Record<CifarName, CifarKind>> = {
  cifar10: {
    classes: 10,
    archives: [
      archive('cifar-10-python.tar.gz', 'cifar-10-batches-py', 'python', 'c58f30108f718f92721af3b95e74349a'),
      archive('cifar-10-binary.tar.gz', 'cifar-10-batches-bin', 'binary', 'c32a1d4ab5d03f1284b67883e8d87530'),
    ],
    splits: {
      train: ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5'],
      test: ['test_batch'],
    },
    python: { meta: 'batches.meta', names: 'label_names', labels: 'labels' },
    binary: { names: 'batches.meta.txt', labelBytes: 1 },
  },
  cifar100: {
    classes: 100,
    archives: [
      archive('cifar-100-python.tar.gz', 'cifar-100-python', 'python', 'eb9058c3a382ffc7106e4002c42a8d85'),
      archive('cifar-100-binary.tar.gz', 'cifar-100-binary', 'binary', '03b5dce01913d631647c71ecec9e9cb8'),
    ],
    splits: { train: ['train'], test: ['test'] },
    python: { meta: 'meta', names: 'fine_label_names', labels: 'fine_labels', coarse: 'coarse_labels' },
    binary: { names: 'fine_label_names.txt', labelBytes: 2 },
  },
};

function archive(file: string, folder: string, form: 'python' | 'binary', md5: string): CifarArchive {
  return { file, folder, form, md5 };
}

/** What a split of CIFAR holds. */
export interface CifarData {
  classes: string[];
  labels: Int32Array;
  /** The superclass of every image, CIFAR-100 only. */
  coarse: Int32Array | undefined;
  /** [n, 32, 32, 3], red, green, blue. */
  shared: SharedImages;
}

/** Opens CIFAR below `root`: an unpacked folder if there is one, else an archive, whose MD5 is checked. */
export async function openCifar(spec: string, parsed: ParsedSpec, split: Split, root: string): Promise<Dataset> {
  onlyParameters(spec, parsed, []);
  const name = parsed.name as CifarName;
  const { archives } = CIFAR_KINDS[name];
  const place = archives
    .flatMap(({ folder, file }) => [folder, file])
    .find((entry) => existsSync(path.join(root, entry)));
  if (place === undefined) {
    const looked = archives.map(({ folder, file }) => `${folder}/ or ${file}`).join(', ');
    throw new DataError(`${name} is not in ${root} (looked for ${looked}). Get it with: npx vitlab data get ${name}`);
  }
  const md5 = archives.find(({ file }) => file === place)?.md5;
  const data = await readCifar(name, path.join(root, place), split, md5);
  const { classes, labels, shared } = data;
  const checksum = checksumOf([new Uint8Array(shared.pixels), new Uint8Array(labels.buffer)]);
  return {
    name,
    classes,
    length: labels.length,
    description: { spec, split, root, length: labels.length, classes, checksum },
    shared,
    label: (index) => labels[index]!,
    image: (index) => sharedImage(shared, index),
  };
}

/**
 * Reads a split of CIFAR from a folder or .tar.gz of either version.
 *
 * @param md5 what the archive must have as MD5
 * @throws DataError when files are missing, damaged, or not what the version says.
 */
export async function readCifar(name: CifarName, place: string, split: Split, md5?: string): Promise<CifarData> {
  const kind = CIFAR_KINDS[name];
  const wanted = new Set([...kind.splits[split].flatMap((file) => [file, `${file}.bin`])]);
  for (const file of [kind.python.meta, kind.binary.names]) wanted.add(file);
  const files = statSync(place).isDirectory()
    ? await folderFiles(place, wanted)
    : await archiveFiles(place, wanted, md5);
  const form = files.has(kind.python.meta) ? 'python' : files.has(kind.binary.names) ? 'binary' : undefined;
  if (!form) {
    throw new DataError(`${place} is not ${name}: it holds neither ${kind.python.meta} nor ${kind.binary.names}.`);
  }
  const needed = (file: string): { bytes: Uint8Array; file: string } => {
    const bytes = files.get(file);
    if (!bytes) throw new DataError(`${place} lacks the file ${file}.`);
    return { bytes, file: path.join(place, file) };
  };
  const parts =
    form === 'python'
      ? kind.splits[split].map((file) => pythonBatch(kind, needed(file)))
      : kind.splits[split].map((file) => binaryBatch(kind, needed(`${file}.bin`)));
  const classes =
    form === 'python' ? pythonNames(kind, needed(kind.python.meta)) : binaryNames(kind, needed(kind.binary.names));
  return { classes, ...join(parts) };
}

async function folderFiles(folder: string, wanted: ReadonlySet<string>): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const file of wanted) {
    const place = path.join(folder, file);
    if (existsSync(place)) files.set(file, new Uint8Array(await readFile(place)));
  }
  return files;
}

async function archiveFiles(
  file: string,
  wanted: ReadonlySet<string>,
  md5: string | undefined,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  if (md5 !== undefined) {
    const found = await fileHash(file, 'md5');
    if (found !== md5) {
      throw new DataError(
        `${file} has the MD5 ${found}, the official archive ${md5}. It is damaged or another file: ` +
          'remove it and download it again.',
      );
    }
  }
  for await (const entry of tarEntries(archiveStream(file))) {
    const base = path.posix.basename(entry.name);
    if (entry.kind === 'file' && wanted.has(base)) files.set(base, await collect(entry.body, MAX_FILE_BYTES));
  }
  return files;
}

interface Batch {
  labels: Int32Array;
  coarse: Int32Array | undefined;
  count: number;
  /** Writes image `index` as red, green and blue plane into `planes`. */
  planes(index: number, planes: Uint8Array): void;
}

interface NamedBytes {
  bytes: Uint8Array;
  file: string;
}

function pythonBatch(kind: CifarKind, { bytes, file }: NamedBytes): Batch {
  const dictionary = readNumpyPickle(bytes, file);
  const matrix = dictionary.get('data');
  if (!(matrix instanceof ByteMatrix) || matrix.columns !== IMAGE_BYTES) {
    throw new DataError(`${file} has no data of ${IMAGE_BYTES} bytes an image.`);
  }
  const { rows, fortran, data } = matrix;
  const labels = labelList(dictionary, kind.python.labels, rows, kind.classes, file);
  const coarse = kind.python.coarse ? labelList(dictionary, kind.python.coarse, rows, 20, file) : undefined;
  const planes = (index: number, out: Uint8Array): void => {
    if (fortran) for (let i = 0; i < IMAGE_BYTES; i++) out[i] = data[i * rows + index]!;
    else out.set(data.subarray(index * IMAGE_BYTES, (index + 1) * IMAGE_BYTES));
  };
  return { labels, coarse, count: rows, planes };
}

function labelList(
  dictionary: Map<unknown, unknown>,
  key: string,
  count: number,
  classes: number,
  file: string,
): Int32Array {
  const list = dictionary.get(key);
  const valid = (label: unknown) => Number.isInteger(label) && (label as number) >= 0 && (label as number) < classes;
  if (!Array.isArray(list) || list.length !== count || !list.every(valid)) {
    throw new DataError(`${file} has no ${key}: ${count} whole numbers below ${classes}.`);
  }
  return Int32Array.from(list as number[]);
}

function pythonNames(kind: CifarKind, { bytes, file }: NamedBytes): string[] {
  return checkedNames(stringList(readNumpyPickle(bytes, file), kind.python.names, file), kind, file);
}

function binaryNames(kind: CifarKind, { bytes, file }: NamedBytes): string[] {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const names = lines.map((line) => line.trim()).filter((line) => line !== '');
  return checkedNames(names, kind, file);
}

function checkedNames(names: string[], kind: CifarKind, file: string): string[] {
  if (names.length === kind.classes) return names;
  throw new DataError(`${file} names ${plural(names.length, 'class', 'classes')}, expected ${kind.classes}.`);
}

function binaryBatch(kind: CifarKind, { bytes, file }: NamedBytes): Batch {
  const { labelBytes } = kind.binary;
  const record = labelBytes + IMAGE_BYTES;
  const count = bytes.length / record;
  if (!Number.isInteger(count))
    throw new DataError(`${file} has ${bytes.length} bytes, which is no multiple of ${record}.`);
  const column = (offset: number) => Int32Array.from({ length: count }, (_, i) => bytes[i * record + offset]!);
  const labels = column(labelBytes - 1);
  if (labels.some((label) => label >= kind.classes))
    throw new DataError(`${file} has a label of ${kind.classes} or more.`);
  const planes = (index: number, out: Uint8Array): void =>
    out.set(bytes.subarray(index * record + labelBytes, (index + 1) * record));
  return { labels, coarse: labelBytes > 1 ? column(0) : undefined, count, planes };
}

function join(parts: readonly Batch[]): Omit<CifarData, 'classes'> {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  const pixels = new SharedArrayBuffer(total * IMAGE_BYTES);
  const out = new Uint8Array(pixels);
  const planes = new Uint8Array(IMAGE_BYTES);
  let target = 0;
  for (const part of parts) {
    for (let index = 0; index < part.count; index++) {
      part.planes(index, planes);
      for (let i = 0; i < PLANE; i++) {
        out[target++] = planes[i]!;
        out[target++] = planes[PLANE + i]!;
        out[target++] = planes[2 * PLANE + i]!;
      }
    }
  }
  const concat = (arrays: (Int32Array | undefined)[]) =>
    arrays.some((array) => !array) ? undefined : Int32Array.from(arrays.flatMap((array) => [...array!]));
  return {
    labels: concat(parts.map((part) => part.labels))!,
    coarse: concat(parts.map((part) => part.coarse)),
    shared: { pixels, height: SIDE, width: SIDE },
  };
}
