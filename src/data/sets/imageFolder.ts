// A data set as folders of images: PATH/train/<class>/*.jpg and PATH/test/<class>/*.jpg.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { DataError, nearest, UsageError } from '../../errors.js';
import { checksumOf, type Dataset, type Split } from '../dataset.js';
import { readImage } from '../image.js';
import { onlyParameters, type ParsedSpec } from '../spec.js';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png']);

/**
 * Opens `imagefolder:PATH[?classes=a,b,c]`. Classes are the folders below PATH/<split>, sorted by name, or those given,
 * in the order given; images are sorted by name. The checksum covers names and sizes of the files, not their bytes
 * (see `contentChecksum`).
 *
 * @throws UsageError for a class that does not exist, DataError for a folder that is missing or empty.
 */
export function openImageFolder(spec: string, parsed: ParsedSpec, split: Split, root: string): Dataset {
  onlyParameters(spec, parsed, ['classes']);
  if (!parsed.path) {
    throw new UsageError(`The data set ${JSON.stringify(spec)} names no folder; write imagefolder:PATH.`);
  }
  const folder = path.resolve(parsed.path);
  const classes = chosenClasses(spec, path.join(folder, split), parsed.parameters.get('classes'));
  const files: string[] = [];
  const labels: number[] = [];
  const parts: string[] = [];
  for (const [label, name] of classes.entries()) {
    const entries = readdirSync(path.join(folder, split, name))
      .filter((entry) => EXTENSIONS.has(path.extname(entry).toLowerCase()))
      .sort();
    if (entries.length === 0) {
      throw new DataError(`The folder ${path.join(folder, split, name)} holds no ${[...EXTENSIONS].join(', ')} files.`);
    }
    for (const entry of entries) {
      const file = path.join(folder, split, name, entry);
      files.push(file);
      labels.push(label);
      parts.push(`${name}/${entry}\0${statSync(file).size}\n`);
    }
  }
  const checksum = checksumOf(parts);
  return {
    name: `imagefolder:${path.basename(folder)}`,
    classes,
    length: files.length,
    description: { spec: respelled(folder, parsed), split, root, length: files.length, classes, checksum },
    label: (index) => labels[index]!,
    image: (index) => readImage(files[index]!),
  };
}

/** The spec with an absolute path, which means the same in every process. */
function respelled(folder: string, parsed: ParsedSpec): string {
  const classes = parsed.parameters.get('classes');
  return `imagefolder:${folder}${classes === undefined ? '' : `?classes=${encodeURIComponent(classes)}`}`;
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
