// Writes any data set as folders of PNG files, which `imagefolder:` and other programs read:
// `npx tsx data-scripts/export-images.ts cifar10 data/cifar10-images`.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import sharp from 'sharp';
import { dataRoot, openDataset } from '../src/data/index.js';
import { UsageError } from '../src/errors.js';
import { plural } from '../src/words.js';
import { runScript } from './script.js';

const command = new Command('export-images')
  .description('write a data set as <out>/train/<class>/<number>.png and <out>/test/<class>/<number>.png')
  .argument('<dataset>', 'such as cifar10, cifar100, "shapes10?train=500&test=100"')
  .argument('<out>', 'the folder to write to')
  .option('--root <folder>', 'where the data sets are (default: $VITLAB_DATA or data/)')
  .option('--limit <n>', 'at most so many images a split')
  .action(async (spec: string, out: string, options: { root?: string; limit?: string }) => {
    const limit = options.limit === undefined ? Infinity : Number(options.limit);
    if (!(limit >= 1)) throw new UsageError(`--limit must be a number from 1, got ${options.limit}.`);
    for (const split of ['train', 'test'] as const) {
      const dataset = await openDataset(spec, split, { root: options.root ?? dataRoot() });
      const count = Math.min(dataset.length, limit);
      for (let index = 0; index < count; index++) {
        const { data, height, width } = await dataset.image(index);
        const folder = path.join(out, split, dataset.classes[dataset.label(index)]!);
        mkdirSync(folder, { recursive: true });
        const file = path.join(folder, `${String(index).padStart(6, '0')}.png`);
        await sharp(data, { raw: { height, width, channels: 3 } })
          .png()
          .toFile(file);
      }
      console.log(`${plural(count, 'image')} in ${path.join(out, split)}`);
    }
  });

runScript(command);
