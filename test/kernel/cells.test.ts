// Cells: their working directory, their types, their values, and the errors they throw.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { Kernel } from '../../src/kernel/index.js';
import { ROOT, stream, withKernel, withProject } from './support.js';

describe('a cell', () => {
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start({ cwd: tmpdir(), env: { ...process.env, VITLAB_TEST_VALUE: 'seen' } });
  });
  after(() => kernel.shutdown());

  it('runs in the root of the project, wherever the kernel was started', async () => {
    assert.equal(stream(await kernel.execute('console.log(process.cwd())')).trim(), ROOT);
    const imported = await kernel.execute(
      "import { nearest } from './src/errors.js';\nconsole.log(nearest('swim', ['vit', 'swin']), typeof __tslab__);",
    );
    assert.equal(imported.status, 'error', 'an unknown name is an error');
    const result = await kernel.execute("import { nearest } from './src/errors.js';\nnearest('swim', ['vit', 'swin'])");
    assert.equal(stream(result), 'swin\n');
  });

  it('sees the VITLAB_ variables of the environment', async () => {
    assert.equal(stream(await kernel.execute('console.log(process.env.VITLAB_TEST_VALUE)')), 'seen\n');
  });

  it('shares what it declares with later cells, which may declare it again', async () => {
    await kernel.execute(
      'const shared: number = 1; import path from "node:path"; class Point { constructor(readonly x: number) {} }',
    );
    assert.equal(stream(await kernel.execute('shared + new Point(2).x')), '3\n');
    await kernel.execute('const shared = "text"; const path = 5;');
    assert.equal(stream(await kernel.execute('shared.length + path')), '9\n');
  });

  it('may await at its top', async () => {
    const result = await kernel.execute(
      'const late = await Promise.resolve(42);\nfor await (const x of [late]) console.log(x);',
    );
    assert.equal(stream(result), '42\n');
  });

  it('may loop with await at its top, and nowhere else await', async () => {
    const result = await kernel.execute('for await (const x of [Promise.resolve(7)]) console.log(x);');
    assert.equal(stream(result), '7\n');
  });

  it('finds variables of earlier cells in shorthand properties', async () => {
    await kernel.execute('let width = 3; const height = 4;');
    await kernel.execute('width = 5;');
    const result = await kernel.execute(
      'const area = ({ width, height }: { width: number; height: number }) => width * height;\narea({ width, height })',
    );
    assert.equal(stream(result), '20\n');
  });

  it('is checked strictly: a type error fails it and it does not run', async () => {
    const result = await kernel.execute('console.log("ran");\nconst n: number = null;\nfunction f(x) { return x; }');
    assert.equal(result.status, 'error');
    assert.equal(stream(result), '');
    assert.equal(result.error?.ename, 'TypeScriptError');
    assert.match(
      result.error.evalue,
      /^Cell\[\d+\]:2:7 - Type 'null' is not assignable to type 'number'\. \(TS2322\)$/m,
    );
    assert.match(result.error.evalue, /3:12 - Parameter 'x' implicitly has an 'any' type\. \(TS7006\)/);
    const shown = result.outputs.find((output) => output.output_type === 'error');
    assert.deepEqual(shown, { output_type: 'error', ...result.error });
  });

  it('knows the library of ES2023 and of the DOM', async () => {
    const result = await kernel.execute(
      'const url: URL = new URL("http://x/"); const m = [1, 2].findLast((x) => x < 2); m',
    );
    assert.equal(stream(result), '1\n');
    assert.equal(
      (await kernel.execute('let element: HTMLElement | undefined; let m2: number | undefined = [1].toSorted()[0];'))
        .status,
      'error',
    );
  });

  it('that throws is an error with its own line numbers, without frames of the kernel', async () => {
    const result = await kernel.execute(
      [
        'interface Unused { a: number }',
        'function inner(x: number): never {',
        '  throw new RangeError("seen " + x);',
        '}',
        '',
        'const outer = () => inner(3);',
        'outer();',
      ].join('\n'),
    );
    assert.equal(result.status, 'error');
    assert.equal(result.error?.ename, 'RangeError');
    assert.equal(result.error.evalue, 'seen 3');
    const cell = `Cell[${result.executionCount}]`;
    assert.deepEqual(result.error.traceback, [
      'RangeError: seen 3',
      `    at inner (${cell}:3:9)`,
      `    at outer (${cell}:6:21)`,
      `    at ${cell}:7:1`,
    ]);
    assert.deepEqual(result.outputs, [{ output_type: 'error', ...result.error }]);
  });

  it('keeps its line numbers across awaits, in stacks it prints, and for causes', async () => {
    const awaited = await kernel.execute(
      'await Promise.resolve();\nasync function deep() {\n  await Promise.resolve();\n  throw new Error("deep");\n}\nawait deep();',
    );
    const cell = `Cell[${awaited.executionCount}]`;
    assert.deepEqual(awaited.error?.traceback, [
      'Error: deep',
      `    at deep (${cell}:4:9)`,
      `    at async ${cell}:6:1`,
    ]);

    const printed = await kernel.execute('// a comment\nconsole.error(new Error("printed"))');
    assert.match(
      stream(printed, 'stderr'),
      new RegExp(`Error: printed\\n    at Cell\\[${printed.executionCount}\\]:2:15`),
    );

    const caused = await kernel.execute(
      'try {\n  JSON.parse("{");\n} catch (cause) {\n  throw new Error("outer", { cause });\n}',
    );
    assert.equal(caused.error?.traceback[0], 'Error: outer');
    assert.match(
      caused.error.traceback.join('\n'),
      /\[cause\]: SyntaxError: .*\n.*JSON\.parse.*\n\s+at Cell\[\d+\]:2:8/,
    );
  });

  it('may throw what is no error', async () => {
    const result = await kernel.execute('throw "text"');
    assert.deepEqual(result.error, { ename: 'string', evalue: 'text', traceback: ['Thrown: text'] });
  });

  it('that fails keeps what it had declared before', async () => {
    await kernel.execute('const before = 12; throw new Error("after")');
    assert.equal(stream(await kernel.execute('before')), '12\n');
  });

  it('can load TensorFlow through src', async () => {
    const result = await kernel.execute(
      "import { startEngine, tf } from './src/engine/index.js';\nawait startEngine('tensorflow');\ntf.add([1, 2], 3).dataSync()[1]",
    );
    assert.equal(stream(result), '5\n');
  });
});

describe('imported modules', () => {
  it('appear in tracebacks with their TypeScript lines', async () => {
    const files = {
      'src/deep.ts': [
        'export interface Shape { width: number }',
        '',
        'export class Box implements Shape {',
        '  constructor(readonly width: number) {}',
        '  check(): void {',
        "    if (this.width < 0) throw new TypeError('negative width');",
        '  }',
        '}',
      ].join('\n'),
      'src/index.ts':
        "import { Box } from './deep.js';\n\nexport const make = (width: number): void => new Box(width).check();\n",
    };
    await withProject(files, ({ specDir }) =>
      withKernel({ specDir }, async (kernel) => {
        const result = await kernel.execute("import { make } from './src/index.js';\n\nmake(-1);");
        assert.deepEqual(
          result.error?.traceback.map((line) => line.replace(/:\d+(\)?)$/, '$1')),
          [
            'TypeError: negative width',
            '    at Box.check (src/deep.ts:6)',
            '    at make (src/index.ts:3)',
            '    at Cell[1]:3',
          ],
        );
      }),
    );
  });

  it('are checked too, each error with file and line', async () => {
    const files = {
      'src/bad.ts': 'export const one = 1;\nexport const two: string = one;\n',
      'src/index.ts': "export { one } from './bad.js';\n",
    };
    await withProject(files, ({ specDir, write }) =>
      withKernel({ specDir }, async (kernel) => {
        const code = "import { one } from './src/index.js';\none";
        const result = await kernel.execute(code);
        assert.equal(
          result.error?.evalue,
          "src/bad.ts:2:14 - Type 'number' is not assignable to type 'string'. (TS2322)",
        );
        write({ 'src/bad.ts': 'export const one = 1;\n' });
        assert.equal(stream(await kernel.execute(code)), '1\n', 'mended');
        write({ 'src/bad.ts': 'export const one: string = 1;\n' });
        assert.match((await kernel.execute(code)).error?.evalue ?? '', /src\/bad\.ts:1:14/, 'and broken again');
      }),
    );
  });

  it('are loaded anew when they have changed, with all that import them, and only those', async () => {
    const files = {
      'src/state.ts': 'export const state = { loads: 0 };\n',
      'src/math.ts': "import { state } from './state.js';\nstate.loads++;\nexport const value = (): number => 1;\n",
      'src/index.ts': "export { value } from './math.js';\nexport { state } from './state.js';\n",
    };
    await withProject(files, ({ specDir, write }) =>
      withKernel({ specDir }, async (kernel) => {
        const code = "import { value, state } from './src/index.js';\nconsole.log(value(), state.loads);";
        assert.equal(stream(await kernel.execute(code)), '1 1\n');
        assert.equal(stream(await kernel.execute(code)), '1 1\n', 'nothing has changed');
        write({ 'src/math.ts': files['src/math.ts'].replace('=> 1', '=> 100 + 1') });
        assert.equal(stream(await kernel.execute(code)), '101 2\n', 'also through the module that re-exports it');
      }),
    );
  });

  it('are not checked again by a later kernel, unless they or what they depend on has changed', async () => {
    const files = {
      'src/base.ts': 'export const base = 1;\n',
      'src/index.ts': "import { base } from './base.js';\nexport const next: number = base + 1;\n",
    };
    const code = "import { next } from './src/index.js';\nnext";
    await withProject(files, async ({ root, specDir, write }) => {
      const once = () => withKernel({ specDir }, (kernel) => kernel.execute(code));
      const verdicts = () => JSON.parse(readFileSync(`${root}/.vitlab/kernel-checked.json`, 'utf8')) as string[];
      assert.equal(stream(await once()), '2\n');
      assert.equal(verdicts().length, 2);
      assert.equal(stream(await once()), '2\n');
      assert.equal(verdicts().length, 2);
      write({ 'src/base.ts': 'export const base = [1];\n' });
      assert.match((await once()).error?.evalue ?? '', /src\/index\.ts:2:\d+ - Operator '\+' cannot be applied/);
    });
  });

  it('with an await at their top fail the cell, until they are mended', async () => {
    const bad = 'export const where = (): string => __dirname;\nexport const late = await Promise.resolve(3);\n';
    await withProject({ 'src/late.ts': bad }, ({ specDir, write }) =>
      withKernel({ specDir }, async (kernel) => {
        const code = "import { late } from './src/late.js';\nlate";
        const first = await kernel.execute(code);
        assert.match(first.error?.evalue ?? '', /src\/late\.ts:2:21 - 'await' expressions/);
        assert.equal((await kernel.execute(code)).error?.evalue.includes('src/late.ts:2'), true, 'every time');
        write({ 'src/late.ts': 'export const late = 3;\n' });
        assert.equal(stream(await kernel.execute(code)), '3\n');
      }),
    );
  });

  it('know their place, and may import at run time', async () => {
    const files = {
      'src/sub/place.ts': [
        "import type { Late } from '../late.js';",
        'export const place = [__dirname, __filename];',
        "export const late = async (): Promise<Late> => (await import('../late.js')).late;",
      ].join('\n'),
      'src/late.ts': "export type Late = 'late';\nexport const late: Late = 'late';\n",
    };
    await withProject(files, ({ root, specDir }) =>
      withKernel({ specDir }, async (kernel) => {
        const result = await kernel.execute(
          "import { late, place } from './src/sub/place.js';\nconsole.log(place.join(' '), await late());",
        );
        assert.equal(stream(result), `${root}/src/sub ${root}/src/sub/place.ts late\n`);
      }),
    );
  });

  it('may be written after a cell has missed them, and may import each other', async () => {
    await withProject({}, ({ specDir, write }) =>
      withKernel({ specDir }, async (kernel) => {
        const code = "import { even } from './src/even.js';\neven(10)";
        assert.match((await kernel.execute(code)).error?.evalue ?? '', /Cannot find module '\.\/src\/even\.js'/);
        write({
          'src/even.ts':
            "import { odd } from './odd/index.js';\nexport const even = (n: number): boolean => n === 0 || odd(n - 1);\n",
          'src/odd/index.ts':
            "import { even } from '../even.js';\nexport const odd = (n: number): boolean => n !== 0 && even(n - 1);\n",
        });
        assert.equal(stream(await kernel.execute(code)), 'true\n');
      }),
    );
  });
});
