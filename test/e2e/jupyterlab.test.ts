// Notebooks in JupyterLab as a person meets them: in a browser, run by the menu's commands, without the runner.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Page } from 'playwright-core';
import { contractOf } from '../../src/recipes/contract.js';
import { PLOTLY_MIME } from '../../src/recipes/lab.js';
import { readNotebook } from '../../src/recipes/notebook.js';
import { readRun } from '../../src/recipes/runFolder.js';
import { RECIPES, smallNotebook } from '../notebooks/small.js';
import { notebookJson, ROOT } from '../recipes/support.js';
import { activate, type Cell, cells, command, Lab, notebookFolder, WAIT_MS } from './jupyter.js';

const SHOTS = path.join(ROOT, '.vitlab', 'e2e');

/** One recipe with every run of the tests; all of them with `npm run test:notebooks`. */
const wanted =
  process.env['VITLAB_TEST_NOTEBOOKS'] === 'all' ? RECIPES : [RECIPES.find(({ name }) => name.startsWith('04'))!];

/** What `lab` writes beside what it shows. */
type Kept = Readonly<Record<string, unknown>>;

const TRAINING = [
  `import { augmentations, DataLoader, fit, openDataset, openLab, startEngine, VisionTransformer } from './src/index.js';
await startEngine();
const lab = openLab({ name: 'e2e-interrupt' });
const set = await openDataset('shapes10?train=64&test=16', 'train');
const train = new DataLoader(set, { batchSize: 16, transforms: augmentations.none(), seed: 0, workers: 0 });
const model = new VisionTransformer({ imgSize: 32, patchSize: 8, embedDim: 24, depth: 1, numHeads: 2, numClasses: 10 }).initialize(0);
const epochs: number[] = [];`,
  `await fit({
  model, train, epochs: 1_000_000, seed: 0, label: 'endless', onEpoch: ({ epoch }) => epochs.push(epoch),
  optimizer: { name: 'adamw' }, schedule: { name: 'constant', baseLr: 0.001 },
});
console.log('not reached');`,
  `lab.record('epochs', epochs.length);
console.log('epochs seen:', epochs.length, 'parameters:', [...model.namedParameters()].length);`,
  '',
];

describe('JupyterLab', () => {
  let lab: Lab;
  let folder: ReturnType<typeof notebookFolder>;

  before(async () => {
    folder = notebookFolder();
    fs.mkdirSync(SHOTS, { recursive: true });
    lab = await Lab.start();
  });
  after(async () => {
    for (const { dir } of runsOf(folder.dir)) fs.rmSync(dir, { recursive: true });
    folder.remove();
    await lab.stop();
  });

  const write = (name: string, notebook: object): string => {
    const file = path.join(folder.dir, name);
    fs.writeFileSync(file, JSON.stringify(notebook));
    return path.relative(ROOT, file);
  };

  /** What `use` does on a page; where it fails, the server's log and a picture of the page tell why. */
  const onPage = async (open: () => Promise<Page>, use: (page: Page) => Promise<void>): Promise<void> => {
    let page: Page | undefined;
    try {
      page = await open();
      await use(page);
    } catch (error) {
      const picture = path.join(SHOTS, 'failed.png');
      await page?.screenshot({ path: picture, timeout: 30_000 }).catch(() => {});
      const log = fs.readFileSync(lab.logFile, 'utf8');
      const known = [`The page: ${picture}`, ...lab.complaints, `The log of JupyterLab:\n${log}`].join('\n');
      throw new Error(`${(error as Error).stack}\n${known}`);
    } finally {
      await page?.close();
    }
  };

  it('opens at the address that is printed, with the kernel and the notebooks', { timeout: WAIT_MS }, () =>
    onPage(
      () => lab.newPage(),
      async (page) => {
        await page.goto(lab.url);
        await page.locator('.jp-LauncherCard[title="TypeScript (vitlab)"]').first().waitFor();
        await page.locator('.jp-DirListing-item', { hasText: 'notebooks' }).waitFor();
      },
    ),
  );

  for (const recipe of wanted) {
    it(`runs ${recipe.name} small, and draws all that it shows`, { timeout: 3 * WAIT_MS }, async () => {
      const notebook = write(`${recipe.name}-small.ipynb`, smallNotebook(recipe));
      await onPage(
        () => lab.open(notebook),
        async (page) => {
          const succeeded = await command(page, 'notebook:run-all-cells');
          const done = codeCells(await cells(page));
          const outputs = done.flatMap(({ outputs }) => outputs ?? []);
          assert.deepEqual(
            outputs.filter(({ output_type: type, name }) => type === 'error' || name === 'stderr'),
            [],
          );
          assert.equal(succeeded, true);
          assert.deepEqual(
            done.map(({ execution_count: count }) => count),
            done.map((_, i) => i + 1),
          );

          const shown = (key: string) => outputs.filter(({ data }) => data?.[key] !== undefined).length;
          const kept = (key: string) =>
            outputs.filter(({ metadata }) => (metadata?.['vitlab'] as Kept | undefined)?.[key] !== undefined).length;
          await showWhole(page);
          await page.screenshot({ path: path.join(SHOTS, `${recipe.name}.png`) });
          await page.waitForFunction(
            (wanted) => document.querySelectorAll('.js-plotly-plot').length === wanted,
            shown(PLOTLY_MIME),
          );
          for (const figure of await figures(page)) {
            assert.ok(figure.width > 300 && figure.height > 100, `${figure.title}: ${figure.width} × ${figure.height}`);
            assert.ok(figure.marks > 0, `${figure.title}: nothing is drawn`);
            assert.deepEqual(figure.clipped, [], `${figure.title}: text beyond the edge`);
          }
          const tables = await page.$$eval('.jp-OutputArea-output table', (all) =>
            all.map((table) => ({ rows: table.querySelectorAll('tbody tr').length, height: table.clientHeight })),
          );
          assert.equal(tables.length, kept('table'));
          for (const { rows, height } of tables)
            assert.ok(rows >= 1 && height >= 10 * rows, `${rows} rows, ${height} px`);

          const lines = await page.locator('.jp-OutputArea-output', { hasText: /epoch \d+\/\d+/ }).allInnerTexts();
          assert.ok(lines.length > 0, 'no training says how it ended');
          for (const line of lines) assert.match(line, /: epoch (\d+)\/\1 · loss [\d.]+/);
          assert.equal(await page.locator('.jp-OutputArea-output progress').count(), 0);

          const [run, ...others] = runsOf(notebook);
          assert.deepEqual(others, []);
          assert.equal(run!.provenance.status, 'interactive');
          const items = (kind: string) => run!.records!.items.filter((item) => item.kind === kind).length;
          assert.ok(items('figure') > 0 && items('figure') <= kept('figure'));
          assert.ok(items('table') <= kept('table'));
          for (const metric of Object.keys(contractOf(readNotebook(recipe.file), recipe.file).expects)) {
            assert.ok(metric in run!.metrics, metric);
          }
          assert.deepEqual(lab.complaints, []);
        },
      );
    });
  }

  it('stops training when the kernel is interrupted, and keeps the variables', { timeout: 2 * WAIT_MS }, async () => {
    const notebook = write('interrupt.ipynb', notebookJson(TRAINING));
    await onPage(
      () => lab.open(notebook),
      async (page) => {
        const ran = command(page, 'notebook:run-all-cells');
        const line = page.locator('.jp-OutputArea-output', { hasText: /endless: epoch \d+\/1000000/ });
        await Promise.race([line.waitFor(), ran.then(() => assert.fail('the cells ended by themselves'))]);
        await command(page, 'notebook:interrupt-kernel');
        assert.equal(await ran, false);
        const [, training, following] = await cells(page);
        assert.deepEqual(
          training!.outputs!.map(({ output_type: type, ename }) => ename ?? type),
          ['display_data', 'display_data', 'KeyboardInterrupt'],
        );
        const last = page.locator('.jp-OutputArea-output', { hasText: 'Training was stopped' });
        assert.match(await last.first().innerText(), /^Training was stopped after step \d+ in epoch \d+\./);
        assert.equal(following!.execution_count, null);

        await activate(page, 2);
        assert.equal(await command(page, 'notebook:run-cell'), true);
        const said = (await cells(page))[2]!.outputs!.map(({ text }) => [text].flat().join('')).join('');
        assert.match(said, /^epochs seen: \d+ parameters: \d\d\n$/);
        const [run] = runsOf(notebook);
        assert.equal(said.includes(`epochs seen: ${run!.metrics['epochs']} `), true);

        await activate(page, 3);
        await completesAndExplains(page);
      },
    );
  });
});

/** Tab after `lab.` offers what a lab can do, and Shift+Tab tells what it is for. */
async function completesAndExplains(page: Page): Promise<void> {
  await command(page, 'notebook:enter-edit-mode');
  await page.keyboard.type('lab.');
  await page.keyboard.press('Tab');
  const offer = page.locator('.jp-Completer-item', { hasText: 'record' });
  await offer.waitFor();
  await page.keyboard.press('Escape');
  await offer.waitFor({ state: 'hidden' });
  await page.keyboard.type('record');
  await page.keyboard.press('Shift+Tab');
  const tooltip = page.locator('.jp-Tooltip');
  await tooltip.waitFor();
  assert.match(await tooltip.innerText(), /record\(name: string, value: number\)[\s\S]*Records a metric: /);
}

const codeCells = (all: readonly Cell[]): Cell[] => all.filter(({ cell_type: type }) => type === 'code');

/** Makes the window as tall as the notebook, so that the browser lays out and paints all of it. */
async function showWhole(page: Page): Promise<void> {
  const width = 1200;
  await page.setViewportSize({ width, height: 15_000 });
  const notebook = page.locator('.jp-NotebookPanel .jp-WindowedPanel-outer');
  const bottom = () =>
    notebook.evaluate((outer) => {
      outer.scrollTop = 0;
      return Math.ceil(outer.querySelector('.jp-Cell:last-of-type')?.getBoundingClientRect().bottom ?? 0);
    });
  let height = 0;
  for (let now = await bottom(); now !== height; now = await bottom()) {
    height = now;
    await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve)));
  }
  await page.setViewportSize({ width, height: height + 60 });
}

interface FigureSeen {
  readonly title: string;
  readonly width: number;
  readonly height: number;
  /** Lines, markers, bars and images that take up room. */
  readonly marks: number;
  /** Texts that reach beyond the figure. */
  readonly clipped: readonly string[];
}

function figures(page: Page): Promise<FigureSeen[]> {
  return page.$$eval('.js-plotly-plot', (plots) =>
    plots.map((plot) => {
      const { width, height, left, right, top, bottom } = plot.getBoundingClientRect();
      const drawn = [...plot.querySelectorAll('.trace path, .heatmaplayer image, .layer-above image')];
      const texts = [...plot.querySelectorAll('svg.main-svg text')];
      return {
        title: plot.querySelector('.gtitle')?.textContent ?? '',
        width,
        height,
        marks: drawn.filter((mark) => {
          const box = mark.getBoundingClientRect();
          return box.width > 0 || box.height > 0;
        }).length,
        clipped: texts
          .filter((text) => {
            const box = text.getBoundingClientRect();
            const beyond = box.left < left - 1 || box.right > right + 1 || box.top < top - 1 || box.bottom > bottom + 1;
            return box.width > 0 && beyond;
          })
          .map((text) => text.textContent ?? ''),
      };
    }),
  );
}

/** The run folders of a notebook, or of the notebooks below a folder. */
function runsOf(place: string) {
  const below = path.relative(ROOT, path.resolve(ROOT, place));
  const runs = path.join(ROOT, 'runs');
  return fs
    .readdirSync(runs)
    .map((name) => path.join(runs, name))
    .filter((dir) => fs.existsSync(path.join(dir, 'provenance.json')))
    .map(readRun)
    .filter(({ provenance: { notebook } }) => notebook === below || notebook.startsWith(`${below}${path.sep}`));
}
