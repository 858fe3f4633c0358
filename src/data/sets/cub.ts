// CUB-200-2011 in its official layout, and the train.json / val.json that prompt-tuning code reads it from.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DataError } from '../../errors.js';
import { plural } from '../../words.js';
import type { Dataset, Split } from '../dataset.js';
import { filesChecksum } from '../files/identity.js';
import { readImage } from '../image.js';
import { onlyParameters, type ParsedSpec } from '../spec.js';

export const CUB_FOLDER = 'CUB_200_2011';

/** One image of CUB as the text files describe it. */
export interface CubImage {
  /** Below images/, such as `001.Black_footed_Albatross/….jpg`. */
  file: string;
  /** As in image_class_labels.txt, from 1. */
  classId: number;
  split: Split;
  /** x, y, width, height in pixels, where bounding_boxes.txt is there. */
  box: [number, number, number, number] | undefined;
}

/**
 * Reads the text files of CUB, joined by image id, in the order of images.txt.
 *
 * @throws DataError when a file is missing or malformed, or when the files do not list the same images.
 */
export function readCub(folder: string): CubImage[] {
  const files = table(folder, 'images.txt', 1);
  const classes = table(folder, 'image_class_labels.txt', 1);
  const splits = table(folder, 'train_test_split.txt', 1);
  const boxes = existsSync(path.join(folder, 'bounding_boxes.txt'))
    ? table(folder, 'bounding_boxes.txt', 4)
    : undefined;
  for (const [name, rows] of [
    ['image_class_labels.txt', classes],
    ['train_test_split.txt', splits],
    ['bounding_boxes.txt', boxes],
  ] as const) {
    if (rows && rows.size !== files.size) {
      throw new DataError(
        `${folder}: images.txt lists ${plural(files.size, 'image')}, ${name} ${rows.size}; they must list the same.`,
      );
    }
  }
  return [...files].map(([id, [file]]) => {
    const row = (name: string, rows: Map<string, string[]>): string[] => {
      const found = rows.get(id);
      if (!found) throw new DataError(`${folder}/${name} does not list image ${id}.`);
      return found;
    };
    const classId = Number(row('image_class_labels.txt', classes)[0]);
    const flag = row('train_test_split.txt', splits)[0];
    if (!Number.isInteger(classId))
      throw new DataError(`${folder}/image_class_labels.txt: image ${id} has no class number.`);
    if (flag !== '0' && flag !== '1')
      throw new DataError(`${folder}/train_test_split.txt: image ${id} has ${flag}, not 0 or 1.`);
    const box = boxes && (row('bounding_boxes.txt', boxes).map(Number) as [number, number, number, number]);
    return { file: file!, classId, split: flag === '1' ? 'train' : 'test', box };
  });
}

/** Lines of an id and `columns` values. */
function table(folder: string, name: string, columns: number): Map<string, string[]> {
  const rows = new Map<string, string[]>();
  let text: string;
  try {
    text = readFileSync(path.join(folder, name), 'utf8');
  } catch (cause) {
    throw new DataError(`${folder} has no ${name}; expected the unpacked ${CUB_FOLDER}.`, { cause });
  }
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const [id, ...values] = line.trim().split(/\s+/);
    if (values.length !== columns || rows.has(id!)) {
      throw new DataError(
        `${folder}/${name}, line ${index + 1}: expected a new id and ${columns} value(s), got ${JSON.stringify(line)}.`,
      );
    }
    rows.set(id!, values);
  }
  return rows;
}

/**
 * The texts of train.json and val.json: image file to class id, in the order of images.txt, laid out as Python's
 * `json.dump(…, indent=4)` does.
 */
export function cubJson(images: readonly CubImage[]): { train: string; val: string } {
  const dump = (split: Split) => {
    const entries = images
      .filter((image) => image.split === split)
      .map(({ file, classId }) => `    ${asciiJson(file)}: ${classId}`);
    return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n}`;
  };
  return { train: dump('train'), val: dump('test') };
}

/** A JSON string in ASCII, as Python writes it. */
function asciiJson(value: string): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (character) =>
    character === '\u007f' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Which index each class id gets: the distinct ids in ascending order, from 0. */
export function classIndices(ids: Iterable<number>): Map<number, number> {
  return new Map([...new Set(ids)].sort((a, b) => a - b).map((id, index) => [id, index]));
}

/**
 * Opens CUB-200-2011 below `root`; classes are those of classes.txt by ascending id. The checksum covers labels, names and
 * sizes of the photographs, and a sample of their contents (see `filesChecksum`).
 */
export function openCub(spec: string, parsed: ParsedSpec, split: Split, root: string): Dataset {
  onlyParameters(spec, parsed, []);
  const folder = path.join(root, CUB_FOLDER);
  if (!existsSync(folder)) {
    throw new DataError(
      `cub200 is not in ${root} (looked for ${CUB_FOLDER}/). Get it with: npx vitlab data get cub200`,
    );
  }
  const names = table(folder, 'classes.txt', 1);
  const indexOf = classIndices([...names.keys()].map(Number));
  const classes = [...indexOf.keys()].map((id) => names.get(String(id))![0]!);
  const images = readCub(folder).filter((image) => image.split === split);
  const labels = images.map(({ file, classId }) => {
    const label = indexOf.get(classId);
    if (label === undefined) throw new DataError(`${folder}/classes.txt does not name class ${classId} of ${file}.`);
    return label;
  });
  const files = images.map(({ file }) => path.join(folder, 'images', file));
  const checksum = filesChecksum(
    images.map(({ file, classId }, index) => ({ name: `${file}\0${classId}`, file: files[index]! })),
  );
  return {
    name: 'cub200',
    classes,
    length: images.length,
    description: { spec, split, root, length: images.length, classes, checksum },
    files,
    label: (index) => labels[index]!,
    image: (index) => readImage(files[index]!),
  };
}
