import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DataFrame } from 'danfojs-node';
import { formatNumber, tableCsv, tableHtml, tableText, toTable } from '../../src/plot/index.js';

describe('tables', () => {
  it('take data frames', () => {
    const table = toTable(new DataFrame({ name: ['a', 'b'], value: [1.5, 2] }));
    assert.deepEqual(table, {
      columns: ['name', 'value'],
      rows: [
        ['a', 1.5],
        ['b', 2],
      ],
    });
  });

  it('take records with missing and odd values', () => {
    const table = toTable([
      { a: 1, b: undefined },
      { c: [1], a: 2n, b: new Date(0) },
    ]);
    assert.deepEqual(table.columns, ['a', 'b', 'c']);
    assert.deepEqual(table.rows, [
      [1, null, null],
      ['2', '1970-01-01T00:00:00.000Z', '[1]'],
    ]);
    assert.deepEqual(toTable([]), { columns: [], rows: [] });
  });

  it('become HTML with everything escaped and numbers set right', () => {
    const html = tableHtml(
      {
        columns: ['<n>', 'v'],
        rows: [
          ['"&', 1234.5],
          [null, null],
        ],
      },
      '<cap>',
    );
    assert.match(html, /<caption style="[^"]*">&lt;cap&gt;<\/caption>/);
    assert.match(
      html,
      /<th scope="col" style="text-align:left">&lt;n&gt;<\/th><th scope="col" style="text-align:right[^"]*">v<\/th>/,
    );
    assert.match(html, /<td style="text-align:left">&quot;&amp;<\/td><td style="text-align:right[^"]*">1,234\.5<\/td>/);
  });

  it('set numbers right that are written for people', () => {
    const right = (values: string[]) =>
      /text-align:right/.test(tableHtml({ columns: ['v'], rows: values.map((value) => [value]) }));
    assert.deepEqual(
      [right(['1,234', '', '-5.0 %']), right(['1', 'a']), right(['']), right(['2026-01-02'])],
      [true, false, false, false],
    );
  });

  it('become aligned text', () => {
    const text = tableText({
      columns: ['name', 'n'],
      rows: [
        ['a', 5],
        ['bcdef', 12],
      ],
    });
    assert.equal(text, 'name    n\na       5\nbcdef  12');
  });

  it('become CSV in full precision', () => {
    const csv = tableCsv({
      columns: ['a,b', 'c'],
      rows: [
        ['say "x"', 0.1 + 0.2],
        ['two\nlines', null],
      ],
    });
    assert.equal(csv, '"a,b",c\n"say ""x""",0.30000000000000004\n"two\nlines",\n');
  });

  it('write numbers for people', () => {
    const cases: [number, string][] = [
      [0, '0'],
      [85_806_346, '85,806,346'],
      [0.123456, '0.1235'],
      [1.23456, '1.235'],
      [123.456, '123.46'],
      [12_345.678, '12,345.7'],
      [1e-7, '1.000e-7'],
      [-0.5, '-0.5'],
      [Number.NaN, 'NaN'],
      [Number.NEGATIVE_INFINITY, '-∞'],
    ];
    for (const [value, text] of cases) assert.equal(formatNumber(value), text);
  });
});
