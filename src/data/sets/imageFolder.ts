// A data set as folders of images: PATH/train/<class>/*.jpg and PATH/test/<class>/*.jpg.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DataError, nearest, UsageError } from '../../errors.js';
import type { Dataset, Split } from '../dataset.js';
import { filesChecksum } from '../files/identity.js';
import { readImage } from '../image.js';
import { onlyParameters, type ParsedSpec, wholeParameter } from '../spec.js';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png']);

/**
 * Opens `imagefolder:PATH[?classes=a,b,c&train=N&test=N]`. Classes are the folders below PATH/<split>, sorted by name, or
 * those given, in the order given; images are sorted by name. `train` and `test` are limits: of a split with more images
 * the first ones of each class are taken, as many of one class as of the next as far as they last. The checksum covers
 * names, sizes and contents of the files that are taken, of large sets a sample of the contents (see `filesChecksum`).
 *
 * @throws UsageError for a class that does not exist, or a limit that leaves a class without images; DataError for a
 * folder that is missing or empty.
 */
export function openImageFolder(spec: string, parsed: ParsedSpec, split: Split, root: string): Dataset {
  onlyParameters(spec, parsed, ['classes', 'train', 'test']);
  if (!parsed.path) {
    throw new UsageError(`The data set ${JSON.stringify(spec)} names no folder; write imagefolder:PATH.`);
  }
  const folder = path.resolve(parsed.path);
  const classes = chosenClasses(spec, path.join(folder, split), parsed.parameters.get('classes'));
  const found = classes.map((name) => imagesOf(path.join(folder, split, name)));
  const counts = shares(
    found.map(({ length }) => length),
    wholeParameter(spec, parsed, split, Number.POSITIVE_INFINITY, classes.length),
  );
  const names: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    for (const entry of found[label]!.slice(0, counts[label])) {
      names.push(`${name}/${entry}`);
      labels.push(label);
    }
  }
  const files = names.map((name) => path.join(folder, split, name));
  const checksum = filesChecksum(names.map((name, index) => ({ name, file: files[index]! })));
  return {
    name: `imagefolder:${path.basename(folder)}`,
    classes,
    length: files.length,
    description: { spec: respelled(folder, parsed), split, root, length: files.length, classes, checksum },
    files,
    label: (index) => labels[index]!,
    image: (index) => readImage(files[index]!),
  };
}

/** The spec with an absolute path, which means the same in every process. */
function respelled(folder: string, parsed: ParsedSpec): string {
  const parameters = [...parsed.parameters].map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return `imagefolder:${folder}${parameters.length > 0 ? `?${parameters.join('&')}` : ''}`;
}

function imagesOf(folder: string): string[] {
  const entries = readdirSync(folder).filter((entry) => EXTENSIONS.has(path.extname(entry).toLowerCase()));
  if (entries.length === 0) throw new DataError(`The folder ${folder} holds no ${[...EXTENSIONS].join(', ')} files.`);
  return entries.sort();
}

/** How many of each of the `available` are taken where `limit` are wanted: one of each in turn, as long as they last. */
function shares(available: readonly number[], limit: number): number[] {
  const counts = available.map(() => 0);
  let left = Math.min(
    limit,
    available.reduce((sum, count) => sum + count, 0),
  );
  while (left > 0) {
    for (const [index, count] of available.entries()) {
      if (left === 0 || counts[index] === count) continue;
      counts[index]!++;
      left--;
    }
  }
  return counts;
}

function chosenClasses(spec: string, folder: string, wanted: string | undefined): string[] {
  let present: string[];
  try {
    present = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => entry.name)
      .sort();
  } catch (cause) {
    throw new DataError(`The data set ${spec} needs the folder ${folder} with a folder for each class.`, { cause });
  }
  if (present.length === 0) throw new DataError(`The folder ${folder} holds no folder; it needs one for each class.`);
  if (wanted === undefined) return present;
  const chosen = wanted.split(',').map((name) => name.trim());
  for (const [index, name] of chosen.entries()) {
    if (chosen.indexOf(name) !== index) throw new UsageError(`${spec} names the class ${name} twice.`);
    if (present.includes(name)) continue;
    const meant = nearest(name, present);
    throw new UsageError(`${folder} has no class ${JSON.stringify(name)}${meant ? `; did you mean ${meant}` : ''}.`);
  }
  return chosen;
}
