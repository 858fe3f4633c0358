// The gallery: finished runs as Markdown pages with pictures, to be read on GitHub without running anything.
import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { UsageError, VitlabError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { Figure } from '../plot/index.js';
import { contractOf } from './contract.js';
import { drawFigures } from './exportFigures.js';
import type { Picture } from './galleryCells.js';
import { galleryIndex, galleryPage, type NamedPage } from './galleryPage.js';
import { stemOf } from './lab.js';
import { readNotebook, writeText } from './notebook.js';
import { FILES, type Run, readRun } from './runFolder.js';

/** Pixels; a figure without a height of its own gets this one. */
const SIZE = { format: 'png', width: 800, height: 500, scale: 1 } as const;

/**
 * Writes a page for each run, `<notebook>.md`, with its pictures in the folder of that name, and `README.md`, the index
 * of all pages in `outDir`: those of other recipes stay. Equal run folders give equal pages; the pictures are Chromium's.
 * Returns the files of the pages, the index last.
 * @throws UsageError where two runs are of the same notebook
 * @throws VitlabError where a folder holds no finished run, or no browser can be started
 */
export async function makeGallery(runDirs: readonly string[], outDir: string): Promise<readonly string[]> {
  const runs = runDirs.map(finishedRun);
  const names = runs.map(({ provenance }) => stemOf(provenance.notebook));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UsageError(`There are two runs of ${twice}, but the gallery shows one of each recipe: give one of them.`);
  }
  // Everything is made before anything is written.
  const pages = runs.map((run, i) => {
    const file = path.join(run.dir, FILES.notebook);
    const notebook = readNotebook(file);
    return { name: names[i]!, ...galleryPage(run, notebook, contractOf(notebook, file), outDir) };
  });
  const drawn = await drawPictures(pages.flatMap(({ pictures }) => [...pictures.values()]));
  for (const { name, markdown, pictures } of pages) {
    const folder = path.join(outDir, name);
    for (const old of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
      if (old.endsWith('.png')) fs.rmSync(path.join(folder, old));
    }
    for (const [picture, source] of pictures)
      writeFileAtomic(path.join(folder, `${picture}.png`), [drawn.get(source)!]);
    writeText(path.join(outDir, `${name}.md`), markdown);
  }
  const index = path.join(outDir, 'README.md');
  writeText(index, galleryIndex(readPages(outDir), outDir));
  return [...names.map((name) => path.join(outDir, `${name}.md`)), index];
}

function finishedRun(dir: string): Run {
  const run = readRun(path.resolve(dir));
  const { status } = run.provenance;
  if (status === 'finished') return run;
  throw new VitlabError(
    `${dir} is ${status}, but the gallery shows finished runs: finish it with 'vitlab run --resume'.`,
  );
}

/** Small PNG files: palettes of at most 256 colours. */
async function drawPictures(pictures: readonly Picture[]): Promise<ReadonlyMap<Picture, Buffer>> {
  const figures = pictures.filter((picture): picture is { figure: Figure } => 'figure' in picture);
  const drawn = figures.length
    ? await drawFigures(
        figures.map(({ figure }) => figure),
        SIZE,
      )
    : [];
  const bytes = new Map<Picture, Buffer>(figures.map((picture, i) => [picture, drawn[i]!]));
  const small = new Map<Picture, Buffer>();
  for (const picture of pictures) {
    const image = 'image' in picture ? picture.image : bytes.get(picture)!;
    const resized = sharp(image).resize({ width: SIZE.width, withoutEnlargement: true });
    small.set(picture, await resized.png({ palette: true, effort: 10, compressionLevel: 9 }).toBuffer());
  }
  return small;
}

function readPages(outDir: string): NamedPage[] {
  return fs
    .readdirSync(outDir)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .sort()
    .map((file) => ({ name: path.basename(file, '.md'), markdown: fs.readFileSync(path.join(outDir, file), 'utf8') }));
}
