// Figures as image files, drawn by a headless Chromium through playwright-core; no network.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VitlabError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { Figure } from '../plot/index.js';
import { ROOT } from './provenance.js';
import { FILES, readJson, readRun } from './runFolder.js';

export interface ImageSize {
  readonly format: 'png' | 'svg';
  /** In CSS pixels; the height is the figure's own where it has one. */
  readonly width: number;
  readonly height: number;
  /** Pixels of a PNG per CSS pixel. */
  readonly scale: number;
}

export interface ExportOptions extends ImageSize {
  /** Default: beside the figures in the run folder. */
  readonly outDir?: string;
}

const CHROMIUMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'] as const;

const PAPER = { paper_bgcolor: '#ffffff', plot_bgcolor: '#ffffff', font: { color: '#1b1f24' } };

/**
 * Draws every figure of a run on white. Returns the files in the order of the figures.
 * @throws VitlabError where the run has no figures, or no browser can be started.
 */
export async function exportFigures(runDir: string, options: ExportOptions): Promise<readonly string[]> {
  const { records } = readRun(runDir);
  const names = (records?.items ?? []).flatMap((item) => (item.kind === 'figure' ? [item.name] : []));
  if (names.length === 0) throw new VitlabError(`${runDir} has no figures: its notebook called no lab.plot(…).`);
  const outDir = options.outDir ?? path.join(runDir, FILES.figures);
  const figures = names.map((name) => readJson(runDir, FILES.figures, `${name}.json`) as Figure);
  const images = await drawFigures(figures, options);
  return images.map((image, i) => {
    const file = path.join(outDir, `${names[i]}.${options.format}`);
    writeFileAtomic(file, [image]);
    return file;
  });
}

/** Figures on white, each as the bytes of an image file. @throws VitlabError where no browser can be started. */
export async function drawFigures(figures: readonly Figure[], size: ImageSize): Promise<readonly Buffer[]> {
  const browser = await launch();
  try {
    const page = await (await browser.newContext({ offline: true })).newPage();
    await page.setContent('<!doctype html><div id="figure"></div>');
    await page.addScriptTag({ path: path.join(ROOT, 'node_modules', 'plotly.js-dist-min', 'plotly.min.js') });
    const images: Buffer[] = [];
    for (const figure of figures) {
      const [drawn, options] = [onPaper(figure), sizeOf(figure, size)].map((value) => JSON.stringify(value));
      images.push(bytesOf(String(await page.evaluate(`Plotly.toImage(${drawn}, ${options})`))));
    }
    return images;
  } finally {
    await browser.close();
  }
}

function sizeOf({ layout }: Figure, { format, width, height, scale }: ImageSize) {
  return { format, width, height: layout?.height ?? height, scale };
}

function onPaper({ data, layout = {} }: Figure): Figure {
  return { data, layout: { ...layout, ...PAPER, font: { ...layout.font, ...PAPER.font } } };
}

function bytesOf(uri: string): Buffer {
  const comma = uri.indexOf(',');
  const body = uri.slice(comma + 1);
  return uri.slice(0, comma).endsWith(';base64') ? Buffer.from(body, 'base64') : Buffer.from(decodeURIComponent(body));
}

/** The part of playwright-core's API that is used; its own declarations would be checked with every notebook. */
interface Browser {
  newContext(options: { offline: boolean }): Promise<{ newPage(): Promise<Page> }>;
  close(): Promise<void>;
}
interface Page {
  setContent(html: string): Promise<void>;
  addScriptTag(script: { path: string }): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
}
interface Playwright {
  chromium: { launch(options: { executablePath: string; args: readonly string[] }): Promise<Browser> };
}

async function launch(): Promise<Browser> {
  const executablePath = chromiumPath();
  try {
    return await playwright().chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  } catch (error) {
    if (error instanceof VitlabError) throw error;
    const reason = (error as Error).message.split('\n')[0];
    throw new VitlabError(`${executablePath} could not be started: ${reason}`, { cause: error });
  }
}

function playwright(): Playwright {
  try {
    return createRequire(__filename)('playwright-core') as Playwright;
  } catch (error) {
    throw new VitlabError('Images need the npm package playwright-core: run npm ci --ignore-scripts.', {
      cause: error,
    });
  }
}

const chromiumPlaces = (): readonly string[] => {
  const named = process.env['CHROMIUM'];
  return named ? [named] : CHROMIUMS;
};

/** Where Chromium is, or undefined: the environment's CHROMIUM, or one of the usual places. */
export const findChromium = (): string | undefined => chromiumPlaces().find((file) => fs.existsSync(file));

function chromiumPath(): string {
  const found = findChromium();
  if (found) return found;
  throw new VitlabError(
    `Images are drawn by Chromium, but there is none at ${chromiumPlaces().join(', ')}. ` +
      'Install it (Debian, Ubuntu: apt-get install chromium), or set CHROMIUM to its path.',
  );
}
