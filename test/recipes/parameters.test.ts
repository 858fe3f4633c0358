import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UsageError } from '../../src/errors.js';
import { LiteralReader } from '../../src/recipes/literal.js';
import type { Notebook } from '../../src/recipes/notebook.js';
import {
  declaredParameters,
  injectParameters,
  oneOf,
  parseAssignments,
  resolveParameters,
} from '../../src/recipes/parameters.js';
import { notebookJson } from './support.js';

const literal = (source: string) => new LiteralReader(source, 'here').literal();

const recipe = (source: string): Notebook =>
  notebookJson(['// before', { source, tags: ['parameters'] }, '// after']) as unknown as Notebook;

const CELL = `// How long
let epochs = 3; // passes over the data
let rate: number = 1e-3;
let name: 'tiny' | "small" = 'tiny'
let flip = true;
let dims = [16, 32];
/* the rest */
let options = { depth: 2, 'drop-path': 0.1 };
let data = null;
`;

const declared = declaredParameters(recipe(CELL), 'x.ipynb');

describe('literals', () => {
  it('reads numbers', () => {
    const cases = { '1': 1, '-2.5': -2.5, '+3': 3, '1e-3': 1e-3, '.5': 0.5, '1_000': 1000, '0xff': 255, '5.': 5 };
    for (const [source, value] of Object.entries(cases)) assert.equal(literal(source), value, source);
  });

  it('reads strings with escapes', () => {
    assert.equal(literal(`'it\\'s'`), "it's");
    assert.equal(literal('"a\\nb\\t\\u00e9\\x41\\u{1f600}"'), 'a\nb\té\x41😀');
    assert.equal(literal('`two\nlines`'), 'two\nlines');
  });

  it('reads lists and objects with comments and trailing commas', () => {
    assert.deepEqual(literal("[1, 'a', [true, null], /* c */ ]"), [1, 'a', [true, null]]);
    assert.deepEqual(literal("{ a: 1, 'b c': [2], 3: false, }"), { a: 1, 'b c': [2], 3: false });
  });

  it('keeps __proto__ a plain key', () => {
    const value = literal('{ __proto__: { polluted: true } }');
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    assert.ok(Object.hasOwn(value as object, '__proto__'));
  });

  it('refuses everything else', () => {
    for (const source of [
      'foo()',
      'undefined',
      'NaN',
      '1e999',
      "'open",
      `\`\${a}\``,
      '[1 2]',
      '{ a 1 }',
      '',
      '-',
      "'\\xzz'",
    ]) {
      assert.throws(() => literal(source), UsageError, source);
    }
  });
});

describe('declared parameters', () => {
  it('reads names, types and defaults', () => {
    assert.deepEqual(
      declared.map(({ name, type, default: value }) => [name, type, value]),
      [
        ['epochs', 'number', 3],
        ['rate', 'number', 0.001],
        ['name', 'string', 'tiny'],
        ['flip', 'boolean', true],
        ['dims', 'array', [16, 32]],
        ['options', 'object', { depth: 2, 'drop-path': 0.1 }],
        ['data', 'null', null],
      ],
    );
  });

  it('is empty where no cell is tagged', () => {
    assert.deepEqual(declaredParameters(notebookJson(['let a = 1;']) as unknown as Notebook, 'x.ipynb'), []);
  });

  it('names the line that is no declaration', () => {
    assert.throws(() => declaredParameters(recipe('let a = 1;\nconsole.log(a);'), 'x.ipynb'), /line 2.*console\.log/);
    assert.throws(() => declaredParameters(recipe('const a = 1;'), 'x.ipynb'), /expected 'let name = literal;'/);
    assert.throws(() => declaredParameters(recipe('let a = 2 * 3;'), 'x.ipynb'), /'a' is not a literal/);
    assert.throws(() => declaredParameters(recipe('let a: number;'), 'x.ipynb'), /no default value/);
    assert.throws(() => declaredParameters(recipe('let a = 1;\nlet a = 2;'), 'x.ipynb'), /declared twice/);
  });

  it('refuses two tagged cells', () => {
    const cells = [
      { source: 'let a = 1;', tags: ['parameters'] },
      { source: 'let b = 1;', tags: ['parameters'] },
    ];
    assert.throws(() => declaredParameters(notebookJson(cells) as unknown as Notebook, 'x.ipynb'), /2 cells tagged/);
  });
});

describe('overrides', () => {
  const resolve = (overrides: Parameters<typeof resolveParameters>[1]) =>
    resolveParameters(declared, overrides, 'x.ipynb');

  it('lets -p win over the file, the file over the profile, the profile over the default', () => {
    const values = resolve({
      profile: { epochs: 5, rate: 0.5, name: 'p' },
      file: { rate: 0.25, name: 'f' },
      texts: { name: 't' },
    });
    assert.deepEqual([values['epochs'], values['rate'], values['name'], values['flip']], [5, 0.25, 't', true]);
  });

  it('reads texts by the type of the parameter', () => {
    const values = resolve({
      texts: { epochs: '1e2', name: '12', flip: 'false', dims: '[8]', options: '{depth: 3}', data: 'cifar10' },
    });
    assert.deepEqual(values, {
      epochs: 100,
      rate: 0.001,
      name: '12',
      flip: false,
      dims: [8],
      options: { depth: 3 },
      data: 'cifar10',
    });
  });

  it('names the nearest parameter for an unknown one', () => {
    assert.throws(() => resolve({ texts: { epoch: '1' } }), { name: 'UsageError', message: /'epoch'.*'epochs'\?/ });
    assert.throws(() => resolve({ file: { quite_other: 1 } }), /parameters are epochs, rate/);
    assert.throws(() => resolveParameters([], { texts: { a: '1' } }, 'x.ipynb'), /no cell tagged 'parameters'/);
  });

  it('refuses values of another type', () => {
    const wrong: Record<string, string>[] = [
      { epochs: 'x' },
      { epochs: '3 4' },
      { epochs: '' },
      { flip: 'yes' },
      { dims: '3' },
      { dims: "['a']" },
    ];
    for (const texts of wrong) {
      assert.throws(
        () => resolve({ texts }),
        { name: 'UsageError', message: /must be of type/ },
        JSON.stringify(texts),
      );
    }
    assert.throws(() => resolve({ file: { name: 5 } }), /'name' must be of type string, like its default.*gives 5/);
  });

  it('splits name=value at the first =', () => {
    assert.deepEqual(parseAssignments(['a=1', 'b=c=d', 'e=']), { a: '1', b: 'c=d', e: '' });
    assert.throws(() => parseAssignments(['a']), { name: 'UsageError', message: /'a'/ });
  });
});

describe('injection', () => {
  it('assigns what differs in a tagged cell right after the parameters', () => {
    const values = resolveParameters(declared, { texts: { epochs: '7', name: "o'k" } }, 'x.ipynb');
    const { cells } = injectParameters(recipe(CELL), declared, values);
    assert.deepEqual(
      cells.map(({ metadata }) => metadata.tags ?? []),
      [[], ['parameters'], ['injected-parameters'], []],
    );
    assert.equal(cells[2]!.source, '// Parameters\nepochs = 7;\nname = "o\'k";');
    assert.equal(new Set(cells.map(({ id }) => id)).size, 4);
  });

  it('adds nothing where all is default, and replaces an earlier injection', () => {
    const defaults = resolveParameters(declared, {}, 'x.ipynb');
    assert.equal(injectParameters(recipe(CELL), declared, defaults).cells.length, 3);
    const once = injectParameters(recipe(CELL), declared, { ...defaults, epochs: 4 });
    const twice = injectParameters(once, declared, { ...defaults, epochs: 5 });
    assert.deepEqual(
      twice.cells.map(({ source }) => source.includes('epochs = 4')),
      [false, false, false, false],
    );
    assert.equal(twice.cells[2]!.source, '// Parameters\nepochs = 5;');
  });
});

describe('oneOf', () => {
  it('gives a word its type, and suggests the nearest for another', () => {
    const precision: 'fp32' | 'bf16' = oneOf('precision', 'bf16', ['fp32', 'bf16']);
    assert.equal(precision, 'bf16');
    assert.throws(
      () => oneOf('precision', 'bf-16', ['fp32', 'bf16']),
      (error) =>
        error instanceof UsageError && /precision is 'bf-16'.*fp32, bf16\. Did you mean bf16\?/.test(error.message),
    );
  });
});
