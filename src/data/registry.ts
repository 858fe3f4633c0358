// The data sets by name: how each is opened, and what its official archives are.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { nearest, UsageError } from '../errors.js';
import type { Dataset, Split } from './dataset.js';
import { CIFAR_KINDS, type CifarName, openCifar } from './sets/cifar.js';
import { CUB_FOLDER, openCub } from './sets/cub.js';
import { openImageFolder } from './sets/imageFolder.js';
import { openShapes } from './sets/shapes.js';
import { type ParsedSpec, parseSpec } from './spec.js';

/** A file that a data set is published as. */
export interface Archive {
  file: string;
  /** The folder that the file is below; `VITLAB_DATA_MIRROR` takes its place. */
  baseUrl: string;
  md5: string;
  /** The folder that it unpacks to. */
  folder: string;
  /** Whether it must be unpacked to be read. */
  unpack: boolean;
}

/** A kind of data set. */
export interface DatasetSource {
  name: string;
  /** One line about it. */
  about: string;
  /** What can be downloaded, the preferred first; none for embedded data sets and folders. */
  archives: readonly Archive[];
  open(spec: string, parsed: ParsedSpec, split: Split, root: string): Promise<Dataset> | Dataset;
}

const CIFAR_URL = 'https://www.cs.toronto.edu/~kriz/';
const CUB_URL = 'https://data.caltech.edu/records/65de6-vp158/files/';

function cifar(name: CifarName, about: string): DatasetSource {
  const archives = CIFAR_KINDS[name].archives.map(
    ({ file, folder, md5 }): Archive => ({ file, folder, md5, baseUrl: CIFAR_URL, unpack: false }),
  );
  return { name, about, archives, open: openCifar };
}

const DRAWN = '32 × 32, drawn from a seed (?train=N&test=N&seed=N)';

const SOURCES: readonly DatasetSource[] = [
  { name: 'shapes10', about: `embedded: 10 outlines in any pattern, ${DRAWN}`, archives: [], open: openShapes },
  { name: 'shapes100', about: `embedded: 10 outlines × 10 patterns, ${DRAWN}`, archives: [], open: openShapes },
  cifar('cifar10', '10 classes of 32 × 32 photographs, 50,000 + 10,000'),
  cifar('cifar100', '100 classes of 32 × 32 photographs, 50,000 + 10,000'),
  {
    name: 'cub200',
    about: '200 species of birds, 5,994 + 5,794 photographs',
    archives: [
      {
        file: 'CUB_200_2011.tgz',
        baseUrl: CUB_URL,
        md5: '97eceeb196236b17998738112f37df78',
        folder: CUB_FOLDER,
        unpack: true,
      },
    ],
    open: openCub,
  },
  {
    name: 'imagefolder',
    about: 'imagefolder:PATH[?classes=a,b&train=N&test=N]: images in PATH/train/<class>/ and PATH/test/<class>/',
    archives: [],
    open: openImageFolder,
  },
];

/** All data sets that can be opened. */
export function datasetSources(): readonly DatasetSource[] {
  return SOURCES;
}

/** The source of that name. Throws UsageError with the nearest name. */
export function datasetSource(name: string): DatasetSource {
  const source = SOURCES.find((candidate) => candidate.name === name);
  if (source) return source;
  const names = SOURCES.map((candidate) => candidate.name);
  const meant = nearest(name, names);
  throw new UsageError(
    `There is no data set ${JSON.stringify(name)}${meant ? `; did you mean ${meant}` : ''}. There are ${names.join(', ')}.`,
  );
}

/** The folder of the named data sets: `$VITLAB_DATA`, or `data` in the working folder. */
export function dataRoot(): string {
  return path.resolve(process.env['VITLAB_DATA'] || 'data');
}

/** Which files or folders of a downloadable data set are below `root`. */
export function presentFiles(source: DatasetSource, root: string): string[] {
  return source.archives
    .flatMap(({ folder, file }) => [folder, file])
    .filter((entry) => existsSync(path.join(root, entry)));
}

/**
 * Opens a data set: `cifar10`, `cifar100`, `cub200`, `shapes10`, `shapes100`, or
 * `imagefolder:PATH[?classes=a,b&train=N&test=N]`.
 *
 * @throws UsageError for an unknown name or parameter, DataError when its files are missing or damaged.
 */
export async function openDataset(spec: string, split: Split, options: { root?: string } = {}): Promise<Dataset> {
  if (split !== 'train' && split !== 'test') {
    throw new UsageError(`A data set has the splits train and test, not ${JSON.stringify(split)}.`);
  }
  const parsed = parseSpec(spec);
  const source = datasetSource(parsed.name);
  if (parsed.path !== undefined && source.name !== 'imagefolder') {
    throw new UsageError(`The data set ${source.name} takes no path, got ${JSON.stringify(spec)}.`);
  }
  return source.open(spec, parsed, split, options.root === undefined ? dataRoot() : path.resolve(options.root));
}
