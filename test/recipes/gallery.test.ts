import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { curvesFigure } from '../../src/plot/index.js';
import { makeGallery } from '../../src/recipes/gallery.js';
import { relinked, shortTableMarkdown, tableMarkdown, withoutPaths } from '../../src/recipes/galleryCells.js';
import type { Lab } from '../../src/recipes/lab.js';
import { writeRun } from './runs.js';
import { type CellSpec, notebookJson, temporaryFolder } from './support.js';

const FIGURE = curvesFigure([{ name: 'a', x: [1, 2, 3], y: [1, 2, 3] }], { title: 'Curves' });
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const CONTRACT = {
  expects: { top1: { quick: { min: 0.4 } }, loss: { quick: { max: 1 } }, lost: { quick: { min: 0 } } },
};
const LONG = Array.from({ length: 100 }, (_, i) => `line ${i}`).join('\n');

type Outputs = readonly Record<string, unknown>[];

/** A run of `notebooks/recipe.ipynb`; each cell with its outputs. */
function makeRun(
  dir: string,
  cells: readonly { readonly cell: CellSpec; readonly outputs?: Outputs }[],
  fill: (lab: Lab) => void = () => {},
  changes: Parameters<typeof writeRun>[1] = {},
): string {
  writeRun(dir, changes, fill);
  const notebook = notebookJson(
    cells.map(({ cell }) => cell),
    CONTRACT,
  );
  cells.forEach(({ outputs }, i) => {
    if (outputs) Object.assign(notebook.cells[i]!, { outputs });
  });
  writeFileSync(path.join(dir, 'notebook.ipynb'), JSON.stringify(notebook));
  return dir;
}

const text = (content: string) => ({ output_type: 'stream', name: 'stdout', text: content });
const shown = (data: Record<string, unknown>, vitlab?: unknown) => ({
  output_type: 'display_data',
  data,
  metadata: vitlab ? { vitlab } : {},
});

describe('gallery', () => {
  const { dir, remove } = temporaryFolder();
  const out = path.join(dir, 'gallery');
  const page = () => readFileSync(path.join(out, 'recipe.md'), 'utf8');
  const run = path.join(dir, 'run');
  after(remove);

  before(async () => {
    const plotly = { 'application/vnd.plotly.v1+json': FIGURE, 'text/plain': 'A line [a] that rises.' };
    makeRun(
      run,
      [
        {
          cell: { source: '# A *title*\n\nSee [tuning](../docs/tuning.md#adaptformer), `[x](y.md)`.', markdown: true },
        },
        {
          cell: { source: "data = 'imagefolder:/home/somebody/photos?train=1'", tags: ['injected-parameters'] },
          outputs: [text('1')],
        },
        { cell: 'const short = `a`;', outputs: [text('10 %\r20 %\nin /tmp/somewhere/else/file.bin'), text('after')] },
        { cell: LONG, outputs: [text(LONG)] },
        { cell: 'figure', outputs: [shown(plotly, { figure: 'curves' })] },
        { cell: 'table', outputs: [shown({ 'text/plain': 'never' }, { table: 'rows' })] },
        { cell: 'note', outputs: [shown({ 'text/markdown': 'A **note**.', 'text/plain': '-' }, { note: true })] },
        { cell: 'image', outputs: [shown({ 'image/png': PIXEL, 'text/plain': 'A pixel' })] },
        { cell: 'throw', outputs: [{ output_type: 'error', ename: 'Error', evalue: 'meant', traceback: ['at file'] }] },
      ],
      (lab) => {
        lab.record('top1', 0.5);
        lab.record('loss', 2);
        lab.record('other', 7);
        lab.measure('stepMs', 12.5);
        lab.table([{ name: 'a_b|*c*', value: 1234.5 }], { name: 'rows', caption: 'Some rows' });
      },
    );
    mkdirSync(path.join(out, 'recipe'), { recursive: true });
    writeFileSync(path.join(out, 'recipe', 'old.png'), '');
    writeFileSync(
      path.join(out, 'earlier.md'),
      '# Earlier\n\n> facts of it\n\n![one](earlier/one.png)\n\n![two](earlier/two.png)\n',
    );
    await makeGallery([run], out);
  });

  it('begins with the title and how the notebook was run', () => {
    const [title, , facts] = page().split('\n');
    assert.equal(title, '# A *title*');
    assert.match(
      facts!,
      /^> \[Notebook\]\(\.\.\/\.\.\/notebooks\/recipe\.ipynb\) as it ran · profile `quick` · tensorflow 2\.21\.0 on cpu/,
    );
    assert.match(facts!, /\d+ cores of .* · 2 min 00 s · \d{4}-\d\d-\d\d · .*❌ 1 of 3 metrics in range$/);
  });

  it('links from where it is', () => {
    assert.ok(page().includes('See [tuning](../tuning.md#adaptformer), `[x](y.md)`.'));
  });

  it('folds long code, and shortens long outputs', () => {
    assert.match(
      page(),
      /<details open><summary>Code 2 · not run<\/summary>\n\n```ts\nconst short = `a`;\n```\n\n<\/details>/,
    );
    assert.match(page(), /<details><summary>Code 3 /);
    assert.match(page(), /```text\nline 0\n[^`]*line 23\n… 68 lines left out here …\nline 92\n[^`]*line 99\n```/);
  });

  it('joins texts, as a terminal shows them', () => {
    assert.ok(page().includes('```text\n20 %\nin …/file.bin\nafter\n```'));
    assert.ok(page().includes('```text\nError: meant\n```'));
  });

  it('names no folder of the machine', () => {
    assert.ok(page().includes("data = 'imagefolder:…/photos?train=1'"));
    for (const place of [dir, '/home/', '/tmp/']) assert.ok(!page().includes(place), place);
  });

  it('has tables and notes as Markdown', () => {
    assert.ok(
      page().includes('**Table 1.** Some rows\n\n| name | value |\n| --- | ---: |\n| a\\_b\\|\\*c\\* | 1,234.5 |'),
    );
    assert.ok(page().includes('\n\nA **note**.\n\n'));
  });

  it('has pictures as small files with their words', async () => {
    assert.ok(
      page().includes('![A line \\[a\\] that rises.](recipe/curves.png)\n\n**Figure 1.** A line [a] that rises.'),
    );
    assert.ok(page().includes('![A pixel](recipe/cell-7-2.png)'));
    assert.deepEqual(readdirSync(path.join(out, 'recipe')).sort(), ['cell-7-2.png', 'curves.png']);
    const file = path.join(out, 'recipe', 'curves.png');
    assert.equal((await sharp(file).metadata()).width, 800);
    assert.equal(readFileSync(file)[25], 3, 'the colour type in the PNG header: a palette');
  });

  it('ends with the metrics and their ranges', () => {
    assert.ok(
      page().includes(
        '| ✅ | top1 | 0.5 | at least 0.4 |\n| ❌ | loss | 2 | at most 1 |\n| ❌ | lost | not recorded | at least 0 |',
      ),
    );
    assert.ok(page().includes('| other | 7 |'));
    assert.ok(page().includes('| stepMs | 12.5 |'));
    assert.ok(page().includes('shapes10 (sha256:1234'));
  });

  it('has an index, in which pages of other recipes stay', () => {
    const index = readFileSync(path.join(out, 'README.md'), 'utf8');
    assert.ok(index.includes('## [Earlier](earlier.md)\n\nfacts of it\n\n![two](earlier/two.png)'));
    assert.ok(index.includes('## [A *title*](recipe.md)\n\n[Notebook](../../notebooks/recipe.ipynb)'));
    assert.ok(index.includes('](../recipes.md)'));
  });

  it('gives equal pages of equal runs', async () => {
    const [again] = await makeGallery([run], path.join(dir, 'again'));
    assert.equal(readFileSync(again!, 'utf8'), page());
  });

  it('refuses two runs of a notebook', async () => {
    await assert.rejects(makeGallery([run, run], out), /two runs of recipe/);
  });

  it('refuses what is no finished run, and leaves the gallery as it was', async () => {
    const earlier = page();
    const stopped = makeRun(
      path.join(dir, 'stopped'),
      ['a'].map((cell) => ({ cell })),
      undefined,
      { status: 'interrupted' },
    );
    await assert.rejects(makeGallery([stopped], out), /stopped is interrupted, but the gallery shows finished runs/);
    await assert.rejects(makeGallery([path.join(dir, 'none')], out), /holds no run/);
    assert.equal(page(), earlier);
  });

  it('refuses a run that has lost a table', async () => {
    const lost = makeRun(path.join(dir, 'lost'), [{ cell: 'a', outputs: [shown({}, { table: 'gone' })] }]);
    await assert.rejects(makeGallery([lost], path.join(dir, 'none')), /tables\/gone\.json is missing/);
    assert.ok(!existsSync(path.join(dir, 'none')));
    rmSync(lost, { recursive: true });
  });
});

describe('Markdown of the gallery', () => {
  it('changes links in text alone', () => {
    const source = '[a](b.md) [c](https://d.org/e) [f](#g)\n```ts\n[h](i.md)\n```\n`[j](k.md)`';
    assert.equal(
      relinked(source, (target) => `x/${target}`),
      source.replace('b.md', 'x/b.md'),
    );
  });

  it('cuts absolute paths, and no others', () => {
    const [before, after] = ['in /a/b-c/d.txt, "/x/y"', 'in …/d.txt, "…/y"'];
    assert.equal(withoutPaths(before), after);
    for (const kept of ['runs/a/b', 'https://a.org/b/c', 'tokens / image', 'and/or', './a/b']) {
      assert.equal(withoutPaths(kept), kept);
    }
  });

  it('shortens long tables', () => {
    const rows = Array.from({ length: 50 }, (_, i) => [i, `row ${i}`]);
    const table = { columns: ['i', 'text'], rows };
    const lines = shortTableMarkdown(table).split('\n');
    assert.deepEqual(lines.slice(25, 27), ['| 23 | row 23 |', '| 42 | row 42 |']);
    assert.deepEqual(lines.slice(-3), ['| 49 | row 49 |', '', '18 rows are left out here, after row 24.']);
    assert.equal(tableMarkdown(table).split('\n').length, 2 + 50);
  });
});
