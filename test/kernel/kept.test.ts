// What a kernel keeps for later ones in `.vitlab/kernel`: compiled cells and imported files, as long as nothing they
// depend on has changed.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type ExecuteResult, Kernel } from '../../src/kernel/index.js';
import { type Project, stream, withKernel, withProject } from './support.js';

const FILES = {
  'src/base.ts': 'export const base: number = 1;\n',
  'src/index.ts':
    "export { base } from './base.js';\nexport const fail = (): never => {\n  throw new Error('no');\n};\n",
};
const CELLS = [
  "import { base, fail } from './src/index.js';\nlet value = base + 1;",
  'interface Pair { a: number }\nconst pair: Pair = { a: value };\nawait Promise.resolve();\npair.a',
];

/** The outputs of cells in a kernel of their own. */
async function inKernel({ specDir }: Project, cells: readonly string[] = CELLS): Promise<ExecuteResult[]> {
  return withKernel({ specDir }, async (kernel) => {
    const results = [];
    for (const cell of cells) results.push(await kernel.execute(cell));
    return results;
  });
}

const said = (results: readonly ExecuteResult[]): string => results.map((result) => stream(result)).join('');

/** Kept files by name, with the time of their last change. */
function kept({ root }: Project): Map<string, number> {
  const folder = path.join(root, '.vitlab/kernel');
  return new Map(readdirSync(folder).map((name) => [name, statSync(path.join(folder, name)).mtimeMs]));
}

/** Changes every kept text, so that a test sees where it comes from. */
function rewriteKept({ root }: Project, change: (file: string, json: string) => void): void {
  const folder = path.join(root, '.vitlab/kernel');
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    change(file, readFileSync(file, 'utf8'));
  }
}

describe('what a kernel keeps', () => {
  it('is taken by the next one: nothing is compiled again', () =>
    withProject(FILES, async (project) => {
      assert.equal(said(await inKernel(project)), '2\n');
      const first = kept(project);
      assert.equal(first.size, CELLS.length + Object.keys(FILES).length);
      assert.equal(said(await inKernel(project)), '2\n');
      assert.deepEqual(kept(project), first);
    }));

  it('names the lines of cells and of src in tracebacks', () =>
    withProject(FILES, async (project) => {
      const cells = [CELLS[0]!, '\nfail();'];
      const tracebacks = [];
      for (let i = 0; i < 2; i++) {
        const error = (await inKernel(project, cells))[1]!.error!;
        tracebacks.push(error.traceback.join('\n'));
      }
      assert.match(tracebacks[0]!, /src\/index\.ts:3:9[\s\S]*Cell\[2\]:2:1/);
      assert.equal(tracebacks[1], tracebacks[0]);
    }));

  it('is not taken where a file that the cell depends on has changed', () =>
    withProject(FILES, async (project) => {
      await inKernel(project);
      project.write({ 'src/base.ts': 'export const base: number = 10;\n' });
      assert.equal(said(await inKernel(project)), '11\n');
      project.write({ 'src/base.ts': "export const base = 'text';\n" });
      const [first] = await inKernel(project, ["import { base } from './src/index.js';\nconst n: number = base;"]);
      assert.match(first!.error?.evalue ?? '', /Cell\[1\]:2:7 - Type 'string' is not assignable/);
      const [importing, using] = await inKernel(project);
      assert.equal(importing!.status, 'ok');
      assert.match(using!.error?.evalue ?? '', /Type 'string' is not assignable to type 'number'/);
    }));

  it('is not taken by a cell whose earlier cells declare other things, also where these come from src', () =>
    withProject(FILES, async (project) => {
      await inKernel(project);
      const [, other] = await inKernel(project, ["let value = 'text';", CELLS[1]!]);
      assert.match(other!.error?.evalue ?? '', /Type 'string' is not assignable to type 'number'/);
      const cells = [
        "import { type Thing, make } from './src/thing.js';\nconst thing: Thing = make();",
        'thing.size + 1',
      ];
      const thing = (type: string, size: string) =>
        `export interface Thing { size: ${type} }\nexport const make = (): Thing => ({ size: ${size} });\n`;
      project.write({ 'src/thing.ts': thing('number', '1') });
      assert.equal(said(await inKernel(project, cells)), '2\n');
      project.write({ 'src/thing.ts': thing('number | null', 'null') });
      assert.match((await inKernel(project, cells))[1]!.error?.evalue ?? '', /possibly 'null'/);
    }));

  it('is not taken where a new file is what an import means', () =>
    withProject({ 'src/part.js': 'export const part = "js";\n' }, async (project) => {
      const cells = ["import { part } from './src/part.js';\npart"];
      assert.equal(said(await inKernel(project, cells)), 'js\n');
      project.write({ 'src/part.ts': 'export const part = "ts";\n' });
      assert.equal(said(await inKernel(project, cells)), 'ts\n');
    }));

  it('is not taken by another launcher', () =>
    withProject(FILES, async (project) => {
      await inKernel(project);
      const first = kept(project);
      const file = path.join(project.root, 'kernel/launcher/cellSyntax.cjs');
      writeFileSync(file, `${readFileSync(file, 'utf8')}// another\n`);
      assert.equal(said(await inKernel(project)), '2\n');
      assert.equal(kept(project).size, 2 * first.size);
    }));

  it('is made again where it is damaged', () =>
    withProject(FILES, async (project) => {
      await inKernel(project);
      rewriteKept(project, (file, text) => writeFileSync(file, text.slice(0, text.length / 2)));
      assert.equal(said(await inKernel(project)), '2\n');
      rewriteKept(project, (file, text) => writeFileSync(file, text.replaceAll('value', 'other')));
      assert.equal(said(await inKernel(project)), '2\n');
      rewriteKept(project, (file) => writeFileSync(file, ''));
      assert.equal(said(await inKernel(project)), '2\n');
    }));

  it('is nothing in a project that cannot be written to, which works nevertheless', () =>
    withProject(FILES, async (project) => {
      // A file in the place of the folder: it stops root too, whom no mode stops.
      mkdirSync(path.join(project.root, '.vitlab'));
      writeFileSync(path.join(project.root, '.vitlab/kernel'), '');
      chmodSync(path.join(project.root, '.vitlab'), 0o555);
      assert.equal(said(await inKernel(project)), '2\n');
      assert.equal(said(await inKernel(project)), '2\n');
    }));

  it('never holds cells that have type errors', () =>
    withProject({}, async (project) => {
      const cells = ['const n: number = "text";'];
      assert.equal((await inKernel(project, cells))[0]!.status, 'error');
      assert.throws(() => kept(project), /ENOENT/);
    }));

  it('does not grow without end: the older half goes', () =>
    withProject({}, async (project) => {
      const folder = path.join(project.root, '.vitlab/kernel');
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < 4001; i++) {
        writeFileSync(path.join(folder, `old-${i}`), '');
        if (i < 2500) utimesSync(path.join(folder, `old-${i}`), 1000 + i, 1000 + i);
      }
      await inKernel(project, ['1 + 1']);
      const names = readdirSync(folder);
      assert.equal(names.length, 2001);
      assert.ok(!names.includes('old-2000') && names.includes('old-2001'));
    }));

  it('lives beside what is compiled: edits, modules in cells and completions', () =>
    withProject(FILES, async (project) => {
      const module = '/** @module extra */\nexport const extra = 5;';
      const cells = [...CELLS, module, "import { extra } from './extra';\nextra + value"];
      assert.equal(said(await inKernel(project, cells)), '2\n7\n');
      await withKernel({ specDir: project.specDir }, async (kernel) => {
        for (const cell of CELLS) assert.equal((await kernel.execute(cell)).status, 'ok');
        const { matches } = await kernel.request('complete_request', { code: 'pair.', cursor_pos: 5 });
        assert.deepEqual(matches, ['a']);
        project.write({ 'src/base.ts': 'export const base: number = 20;\n' });
        assert.equal(stream(await kernel.execute(`${CELLS[0]}\nvalue`)), '21\n');
        for (const cell of CELLS) assert.equal((await kernel.execute(cell)).status, 'ok');
        assert.equal(stream(await kernel.execute(module.replace('5', '6'))), '');
        assert.equal(stream(await kernel.execute(cells[3]!)), '27\n');
      });
    }));

  it('is followed by the compiler when a watched kernel is idle, for completions', () =>
    withProject(FILES, async (project) => {
      await inKernel(project);
      const megabytes = "console.log(process.memoryUsage().heapUsed / 2 ** 20, process.chdir('/'));";
      await inKernel(project, [megabytes]);
      const grown = async (watched: boolean): Promise<boolean> => {
        const kernel = await Kernel.start({
          specDir: project.specDir,
          env: { ...process.env, VITLAB_HEADLESS: watched ? '0' : '1' },
        });
        try {
          const before = Number.parseFloat(stream(await kernel.execute(megabytes)));
          await new Promise((resolve) => setTimeout(resolve, 1500));
          return Number.parseFloat(stream(await kernel.execute(megabytes))) > before + 20;
        } finally {
          await kernel.shutdown();
        }
      };
      assert.equal(await grown(true), true);
      assert.equal(await grown(false), false);
    }));
});
