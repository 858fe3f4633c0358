// Writes train.json and val.json (image file to class id) from the official text files of CUB-200-2011:
// `npx tsx data-scripts/cub-to-json.ts data/CUB_200_2011`.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { cubJson, readCub } from '../src/data/index.js';
import { plural } from '../src/words.js';
import { runScript } from './script.js';

const command = new Command('cub-to-json')
  .description('write train.json and val.json (image file to class id, from 1) from the text files of CUB-200-2011')
  .argument('<folder>', 'the unpacked CUB_200_2011, with images.txt, image_class_labels.txt and train_test_split.txt')
  .option('--out <folder>', 'where to write (default: into the same folder)')
  .action((folder: string, options: { out?: string }) => {
    const images = readCub(folder);
    const { train, val } = cubJson(images);
    const out = options.out ?? folder;
    mkdirSync(out, { recursive: true });
    writeFileSync(path.join(out, 'train.json'), train);
    writeFileSync(path.join(out, 'val.json'), val);
    const trained = images.filter((image) => image.split === 'train').length;
    console.log(
      `${plural(trained, 'image')} in ${path.join(out, 'train.json')}, ${images.length - trained} in val.json`,
    );
  });

runScript(command);
