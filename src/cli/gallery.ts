// `vitlab gallery RUNDIR…`: finished runs as Markdown pages with pictures.
import path from 'node:path';
import { Command } from 'commander';
import { GALLERY, makeGallery } from '../recipes/index.js';

const HELP = `
Each recipe becomes <notebook>.md, with its pictures in the folder of that name; README.md is the index. Pages of other
recipes stay. Links fit pages inside the project; elsewhere they are those of docs/gallery. 'npm run notebooks:execute' runs all recipes first.`;

/** The `gallery` command. */
export function galleryCommand(): Command {
  return new Command('gallery')
    .description('make pages for reading of finished runs: text, code, tables and figures as GitHub shows them')
    .argument('<rundir...>', 'run folders, one a recipe')
    .option('--out <dir>', 'where the pages go (default: docs/gallery)')
    .addHelpText('after', HELP)
    .action(async (runDirs: string[], { out = GALLERY }: { out?: string }) => {
      for (const file of await makeGallery(runDirs, out)) console.log(path.relative(process.cwd(), file));
    });
}
