import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import { barsFigure, curvesFigure, heatMapFigure, imageGridFigure, scatterFigure } from '../../src/plot/index.js';
import { contractOf } from '../../src/recipes/contract.js';
import { exportFigures } from '../../src/recipes/exportFigures.js';
import type { Notebook } from '../../src/recipes/notebook.js';
import { renderReport } from '../../src/recipes/report.js';
import { readRun } from '../../src/recipes/runFolder.js';
import { writeRun } from './runs.js';
import { notebookJson, temporaryFolder } from './support.js';

const EVIL = '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">';
const CHROMIUM = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((file) => file !== undefined && existsSync(file));

function makeReport(dir: string, foreign = '<p>framed</p>'): string {
  const pixels = Float32Array.from({ length: 8 * 8 * 3 }, (_, i) => (i % 7) / 7);
  writeRun(dir, { exitCode: 3, error: `loss is 0.5 ${EVIL}`, parameters: { epochs: 2, text: EVIL } }, (lab) => {
    lab.record('accuracy', 0.75);
    lab.record('loss', 0.5);
    lab.record('params', 123_456);
    lab.measure('stepMs', 12.5);
    lab.weights('vit', 'sha256:5678');
    const figures = {
      curves: curvesFigure([
        { name: 'a', x: [1, 2, 3], y: [1, 2, 3], spread: [0.1, 0.1, 0.1] },
        { name: EVIL, x: [1, 2, 3], y: [3, Number.NaN, 1] },
      ]),
      bars: barsFigure(['x', 'y'], [{ name: 'n', values: [1, 2], errors: [0.1, 0.2] }], {
        title: 'Bars with a title that is too long for the width of a phone',
      }),
      scatter: scatterFigure(
        [
          { name: 'p', x: 10, y: 1 },
          { name: 'q', x: 100, y: 2 },
        ],
        { x: { log: true } },
      ),
      heat: heatMapFigure({
        values: [
          [1, 2],
          [3, 4],
        ],
        annotate: true,
      }),
      images: imageGridFigure(Array.from({ length: 6 }, () => ({ pixels, width: 8, height: 8, label: 'cat' }))),
    };
    for (const [name, figure] of Object.entries(figures)) lab.plot(figure, { name, alt: `The ${name} ${EVIL}` });
    lab.table([{ method: EVIL, value: 1 }], { name: 'rows', caption: EVIL });
    lab.note(`A **note** ${EVIL}`);
  });
  const notebook = notebookJson(
    [
      { source: `# The title\n\nWhat it *does*. ${EVIL}`, markdown: true },
      { source: 'let epochs = 1;', tags: ['parameters'] },
      { source: '// Parameters\nepochs = 2;', tags: ['injected-parameters'] },
      { source: '## A section\n\n$$ x_i^2 $$', markdown: true },
      `console.log('${EVIL}')`,
    ],
    { reproduces: EVIL, expects: { accuracy: { quick: { min: 0.7 } }, loss: { quick: { max: 0.4 } } } },
  ) as unknown as Notebook;
  notebook.cells[4]!.outputs = [
    { output_type: 'stream', name: 'stdout', text: `\u001b[31mprogress 1\rprogress 2\u001b[0m\n${EVIL}\n` },
    { output_type: 'display_data', data: { 'text/plain': 'x' }, metadata: { vitlab: { figure: 'bars' } } },
    {
      output_type: 'display_data',
      data: { 'text/html': foreign, 'text/plain': 'framed' },
      metadata: {},
    },
    {
      output_type: 'display_data',
      data: { 'image/svg+xml': `<svg xmlns="http://www.w3.org/2000/svg">${EVIL}</svg>` },
      metadata: {},
    },
    { output_type: 'error', ename: 'Error', evalue: 'boom', traceback: ['Error: boom', `  at ${EVIL}`] },
  ];
  const file = path.join(dir, 'report.html');
  writeFileSync(file, renderReport(readRun(dir), notebook, contractOf(notebook, 'x')));
  return file;
}

describe('report', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let file: string;
  let html: string;
  before(() => {
    folder = temporaryFolder();
    file = makeReport(folder.dir);
    html = readFileSync(file, 'utf8');
  });
  after(() => folder.remove());

  it('holds the run in order', () => {
    const order = [
      'The title',
      'Metrics',
      'Measurements',
      'Results',
      'Parameters',
      'Notebook',
      'A section',
      'Provenance',
    ];
    const places = order.map((text) => html.indexOf(`>${text}</h`));
    assert.ok(places.every((place) => place > 0));
    assert.deepEqual(
      [...places].sort((a, b) => a - b),
      places,
    );
    assert.match(html, /✓ in range[\s\S]*at least 0\.7[\s\S]*✗ out of range[\s\S]*at most 0\.4/);
    assert.match(html, /123,456/);
    assert.match(html, /<td[^>]*>epochs<\/td><td[^>]*>2<\/td><td[^>]*>overridden<\/td>/);
    assert.match(html, /→ <a href="#figure-2">Figure 2: bars<\/a>/);
    assert.match(html, /shapes10 \(sha256:1234\)/);
    assert.match(html, /<td[^>]*>stepMs<\/td><td[^>]*>12\.5<\/td>/);
    assert.match(html, /tensorflow 2\.21\.0, cpu/);
  });

  it('shows text as a terminal would', () => {
    assert.match(html, /aria-label="Output">progress 2\n/);
    assert.doesNotMatch(html, /progress 1/);
  });

  it('asks the network for nothing', () => {
    const own = html.replace(/<script[\s\S]*?<\/script>/g, '');
    assert.doesNotMatch(own, /(src|href)="(https?:)?\/\//);
    assert.match(html, /default-src 'none'/);
  });

  it('says in one paragraph what an image export needs', async () => {
    const before = process.env['CHROMIUM'];
    process.env['CHROMIUM'] = '/nowhere/chromium';
    try {
      await assert.rejects(exportFigures(folder.dir, { format: 'png', width: 100, height: 100, scale: 1 }), {
        name: 'VitlabError',
        message: /none at \/nowhere\/chromium.*Install it/,
      });
    } finally {
      if (before === undefined) delete process.env['CHROMIUM'];
      else process.env['CHROMIUM'] = before;
    }
  });
});

describe('report in a browser', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let file: string;
  let browser: Browser | undefined;
  before(async () => {
    folder = temporaryFolder();
    file = makeReport(folder.dir);
    assert.ok(CHROMIUM, 'these tests need Chromium: apt-get install chromium, or CHROMIUM=PATH');
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  });
  after(async () => {
    await browser?.close();
    folder.remove();
  });

  /** Like waitForFunction, which the page's own policy forbids. */
  async function untilTrue(page: Page, expression: string): Promise<void> {
    for (let i = 0; !(await page.evaluate(expression)); i++) {
      assert.ok(i < 600, `never true: ${expression}`);
      await page.waitForTimeout(100);
    }
  }

  async function visit(options: object, look: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser!.newContext({ offline: true, ...options });
    const problems: string[] = [];
    const page = await context.newPage();
    page.on('console', (message) => problems.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('requestfailed', (request) => problems.push(`failed: ${request.url().slice(0, 100)}`));
    await page.goto(`file://${file}`);
    await untilTrue(page, "document.documentElement.dataset.drawn === 'true'");
    await look(page);
    assert.deepEqual(problems, []);
    await context.close();
  }

  it('draws every figure offline, with no complaint, and runs nothing foreign', async () => {
    await visit({ viewport: { width: 1100, height: 900 } }, async (page) => {
      const drawn =
        "[...document.querySelectorAll('.plot')].map((plot) => plot.querySelectorAll('.main-svg').length > 0)";
      assert.deepEqual(await page.evaluate(drawn), [true, true, true, true, true]);
      assert.equal(await page.evaluate('window.pwned'), undefined);
      assert.equal(await page.evaluate("document.querySelectorAll('main img[src=x]').length"), 0);
      assert.equal(await page.locator('math').count(), 1);
    });
  });

  it('runs nothing that an output brings along', async () => {
    const hostile = temporaryFolder();
    const page = await browser!.newPage();
    try {
      await page.goto(`file://${makeReport(hostile.dir, `<p>framed</p>${EVIL}`)}`);
      await untilTrue(page, "document.documentElement.dataset.drawn === 'true'");
      const frame = page.frames()[1]!;
      assert.equal(await frame.locator('p').textContent(), 'framed');
      assert.deepEqual(
        [await page.evaluate('window.pwned'), await frame.evaluate('window.pwned')],
        [undefined, undefined],
      );
    } finally {
      await page.close();
      hostile.remove();
    }
  });

  it('fits a phone', async () => {
    await visit({ viewport: { width: 360, height: 740 }, isMobile: true }, async (page) => {
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
      const frame = "document.getElementById('plot-4').parentElement";
      assert.deepEqual(
        [
          await page.evaluate(`${frame}.scrollWidth > ${frame}.clientWidth`),
          await page.evaluate(`${frame}.tabIndex`),
          await page.evaluate("document.querySelectorAll('#plot-1 .gtitle tspan').length"),
        ],
        [true, 0, 2],
        'a grid of images scrolls in its frame, also with keys; a long title has two lines',
      );
    });
  });

  it('follows the colour scheme, figures too', async () => {
    await visit({ colorScheme: 'light' }, async (page) => {
      const ink = "getComputedStyle(document.querySelector('.plot .xtick text')).fill";
      const light = [await page.evaluate('getComputedStyle(document.body).backgroundColor'), await page.evaluate(ink)];
      await page.emulateMedia({ colorScheme: 'dark' });
      await untilTrue(page, `${ink} !== ${JSON.stringify(light[1])}`);
      const dark = [await page.evaluate('getComputedStyle(document.body).backgroundColor'), await page.evaluate(ink)];
      assert.deepEqual(
        [light, dark],
        [
          ['rgb(255, 255, 255)', 'rgb(27, 31, 36)'],
          ['rgb(20, 23, 27)', 'rgb(228, 231, 235)'],
        ],
      );
    });
  });

  it('is used with the keyboard', async () => {
    await visit({}, async (page) => {
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate('document.activeElement.textContent'), 'Metrics');
      await page.locator('summary').first().focus();
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate("document.querySelector('details').open"), true);
    });
  });

  it('exports every figure as PNG and SVG, the same each time', async () => {
    const size = { width: 400, height: 300, scale: 1 };
    const first = await exportFigures(folder.dir, { ...size, format: 'png' });
    assert.deepEqual(
      first.map((name) => path.basename(name)),
      ['curves.png', 'bars.png', 'scatter.png', 'heat.png', 'images.png'],
    );
    const bytes = first.map((name) => readFileSync(name));
    assert.deepEqual([bytes[0]!.readUInt32BE(16), bytes[0]!.readUInt32BE(20)], [400, 300]);
    await exportFigures(folder.dir, { ...size, format: 'png' });
    first.forEach((name, i) => {
      assert.deepEqual(readFileSync(name), bytes[i]);
    });
    const [svg] = await exportFigures(folder.dir, { ...size, format: 'svg', outDir: path.join(folder.dir, 'svg') });
    assert.match(readFileSync(svg!, 'utf8'), /^<svg[\s\S]*<\/svg>$/);
  });
});
