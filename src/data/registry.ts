// The data sets by name: how each is opened.
import path from 'node:path';
import { nearest, UsageError } from '../errors.js';
import type { Dataset, Split } from './dataset.js';
import { openImageFolder } from './sets/imageFolder.js';
import { openShapes } from './sets/shapes.js';
import { type ParsedSpec, parseSpec } from './spec.js';

/** A kind of data set. */
export interface DatasetSource {
  name: string;
  /** One line about it. */
  about: string;
  open(spec: string, parsed: ParsedSpec, split: Split, root: string): Promise<Dataset> | Dataset;
}

const SOURCES: readonly DatasetSource[] = [
  {
    name: 'shapes10',
    about: 'embedded: 10 outlines in any pattern, 32 × 32, drawn from a seed (?train=N&test=N&seed=N)',
    open: openShapes,
  },
  {
    name: 'shapes100',
    about: 'embedded: 10 outlines × 10 patterns, 32 × 32, drawn from a seed (?train=N&test=N&seed=N)',
    open: openShapes,
  },
  {
    name: 'imagefolder',
    about: 'imagefolder:PATH[?classes=a,b]: images in PATH/train/<class>/ and PATH/test/<class>/',
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

/**
 * Opens a data set: `cifar10`, `cifar100`, `cub200`, `shapes10`, `shapes100`, or `imagefolder:PATH[?classes=a,b]`.
 *
 * @throws UsageError for an unknown name or parameter, DataError when its files are missing or damaged.
 */
export async function openDataset(spec: string, split: Split, options: { root?: string } = {}): Promise<Dataset> {
  if (split !== 'train' && split !== 'test') {
    throw new UsageError(`A data set has the splits train and test, not ${JSON.stringify(split)}.`);
  }
  const parsed = parseSpec(spec);
  const source = datasetSource(parsed.name);
  return source.open(spec, parsed, split, options.root === undefined ? dataRoot() : path.resolve(options.root));
}
