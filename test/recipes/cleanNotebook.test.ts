import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { checkNotebook } from '../../src/recipes/checkNotebook.js';
import { cleanNotebook } from '../../src/recipes/cleanNotebook.js';
import { readNotebook } from '../../src/recipes/notebook.js';
import { cli, notebookJson, ROOT, temporaryFolder } from './support.js';

const RANGES = { quick: { min: 0 }, standard: { min: 0 }, paper: { min: 0 } };
const CONTRACT = {
  reproduces: 'a page',
  profiles: { quick: {}, standard: {}, paper: { epochs: 9 } },
  expects: { 'part.top1': RANGES },
};
const INTRO = { source: '# Title\n\n`npx vitlab run notebooks/recipe.ipynb`', markdown: true as const };
const PARAMETERS = { source: 'let epochs = 1;\nlet seed = 0;', tags: ['parameters'] };
const OPEN = `const lab = openLab({ name: 'recipe', parameters: { epochs, seed } });`;
const RECORD = `lab.record(\`\${'part'}.top1\`, 1);`;

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
beforeEach(() => {
  folder = temporaryFolder();
  file = path.join(folder.dir, 'recipe.ipynb');
});
afterEach(() => folder.remove());

const write = (notebook: unknown) => writeFileSync(file, JSON.stringify(notebook));
const clean = () => cleanNotebook(readNotebook(file));

/** As a run and an editor leave a notebook. */
function used() {
  const notebook = notebookJson(
    [INTRO, PARAMETERS, { source: 'epochs = 2;', tags: ['injected-parameters'] }, `${OPEN}\n\n`, '  \n'],
    CONTRACT,
  );
  const cells = notebook.cells.map((cell, i) => ({
    ...cell,
    id: i === 3 ? 'cell-1' : cell.id,
    metadata: { ...cell.metadata, execution: { started: 1 }, scrolled: true, vitlab: { seconds: 1 } },
    ...('outputs' in cell && { execution_count: i, outputs: [{ output_type: 'stream', name: 'stdout', text: 'x' }] }),
  }));
  const language_info = { version: '5.0.4', name: 'typescript', mimetype: 'text/typescript', file_extension: '.ts' };
  const metadata = { ...notebook.metadata, papermill: {}, language_info };
  return { ...notebook, nbformat_minor: 4, cells, metadata };
}

describe('cleaning a notebook', () => {
  it('leaves what its author wrote, and nothing of a run', () => {
    write(used());
    const { cells, metadata, nbformat_minor } = JSON.parse(clean());
    assert.deepEqual(
      cells.map(({ id, source, metadata }: { id: string; source: string[]; metadata: object }) => [
        id,
        source.join(''),
        metadata,
      ]),
      [
        ['cell-0', INTRO.source, {}],
        ['cell-1', PARAMETERS.source, { tags: ['parameters'] }],
        ['c00', OPEN, {}],
      ],
    );
    for (const { outputs, execution_count } of cells.slice(1)) assert.deepEqual([outputs, execution_count], [[], null]);
    assert.deepEqual(Object.keys(metadata), ['kernelspec', 'language_info', 'vitlab']);
    assert.deepEqual(metadata.language_info, {
      file_extension: '.ts',
      mimetype: 'text/typescript',
      name: 'typescript',
    });
    assert.deepEqual(metadata.vitlab, CONTRACT);
    assert.equal(nbformat_minor, 5);
  });

  it('changes nothing the second time, and gives what Jupyter itself would save', () => {
    write(used());
    const once = clean();
    writeFileSync(file, once);
    assert.equal(clean(), once);
    const program = 'import nbformat, sys; sys.stdout.write(nbformat.writes(nbformat.read(sys.argv[1], 4)) + "\\n")';
    const saved = execFileSync(path.join(ROOT, '.venv', 'bin', 'python'), ['-c', program, file], { encoding: 'utf8' });
    assert.equal(saved, once);
  });

  it('is a command, as the check is', async () => {
    write(used());
    const found = await cli(['notebooks', 'check', file]);
    assert.deepEqual([found.code, /not in normal form/.test(found.stdout)], [1, true], found.stdout + found.stderr);
    assert.match((await cli(['notebooks', 'clean', file])).stdout, /: cleaned\n$/);
    const before = readFileSync(file, 'utf8');
    assert.match((await cli(['notebooks', 'clean', file])).stdout, /: clean\n$/);
    assert.equal(readFileSync(file, 'utf8'), before);
  });
});

describe('checking a notebook', () => {
  const problems = (cells: Parameters<typeof notebookJson>[0], contract: unknown = CONTRACT) => {
    write(notebookJson(cells, contract));
    writeFileSync(file, clean());
    return checkNotebook(file);
  };

  it('finds nothing wrong with a whole recipe', () => {
    assert.deepEqual(problems([INTRO, PARAMETERS, OPEN, RECORD]), []);
    const computed = [INTRO, PARAMETERS, OPEN, "for (const name of ['part.top1']) lab.record(name, 1);"];
    assert.deepEqual(problems(computed), []);
  });

  const faults: [string, Parameters<typeof notebookJson>[0], unknown, RegExp][] = [
    ['an introduction without its command', [{ ...INTRO, source: '# A' }, PARAMETERS, OPEN, RECORD], CONTRACT, /npx/],
    ['an introduction without a heading', [PARAMETERS, OPEN, RECORD], CONTRACT, /begins with a heading/],
    [
      'another language',
      [INTRO, PARAMETERS, OPEN, RECORD, '// 注意'],
      CONTRACT,
      /cell-4 is not English only: \/\/ 注意/,
    ],
    ['no parameters', [INTRO, OPEN, RECORD], CONTRACT, /no cell tagged 'parameters'/],
    ['no seed', [INTRO, { ...PARAMETERS, source: 'let epochs = 1;' }, OPEN, RECORD], CONTRACT, /no parameter 'seed'/],
    ['a computed parameter', [INTRO, { ...PARAMETERS, source: 'let epochs = f();' }], CONTRACT, /literal/],
    ['no lab', [INTRO, PARAMETERS, RECORD], CONTRACT, /calls no openLab/],
    ['a parameter kept from the lab', [INTRO, PARAMETERS, OPEN.replace('epochs, ', ''), RECORD], CONTRACT, /epochs\.$/],
    ['a metric that nobody records', [INTRO, PARAMETERS, OPEN], CONTRACT, /'part.top1', which no cell records/],
    ['a missing profile', [INTRO, PARAMETERS, OPEN, RECORD], { ...CONTRACT, profiles: { quick: {} } }, /'standard'/],
    [
      'a profile of another type',
      [INTRO, PARAMETERS, OPEN, RECORD],
      { ...CONTRACT, profiles: { quick: { epochs: 'x' }, standard: {}, paper: {} } },
      /must be of type number/,
    ],
    [
      'a profile without expectations',
      [INTRO, PARAMETERS, OPEN, RECORD],
      { ...CONTRACT, expects: { 'part.top1': { quick: { min: 0 }, paper: { min: 0 } } } },
      /no metric in the profile 'standard'/,
    ],
    ['an unknown key', [INTRO, PARAMETERS, OPEN, RECORD], { ...CONTRACT, expect: {} }, /is not a contract/],
    ['no reference', [INTRO, PARAMETERS, OPEN, RECORD], { ...CONTRACT, reproduces: '' }, /does not say what/],
  ];
  for (const [what, cells, contract, message] of faults) {
    it(`finds ${what}`, () => {
      const found = problems(cells, contract);
      assert.ok(
        found.some((text) => message.test(text)),
        found.join('\n'),
      );
    });
  }
});
