import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  barsFigure,
  curvesFigure,
  heatMapFigure,
  heatMapGridFigure,
  INK,
  imageGridFigure,
  PALETTE,
  paretoFront,
  scatterFigure,
} from '../../src/plot/index.js';

type Trace = Record<string, unknown> & { x: unknown[]; y: unknown[] };
const traces = (figure: { data: unknown[] }) => figure.data as Trace[];

/** Relative luminance (WCAG 2.2). */
function luminance(color: string): number {
  const [r, g, b] = [1, 3, 5]
    .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

describe('style', () => {
  it('is readable on white and on dark pages', () => {
    for (const color of [...PALETTE, INK]) {
      for (const page of ['#ffffff', '#111111']) {
        assert.ok(contrast(color, page) >= 3, `${color} on ${page}: ${contrast(color, page).toFixed(2)}`);
      }
    }
  });

  it('leaves the background to the page, and stands in JSON', () => {
    const figures = [
      curvesFigure([{ name: 'a', x: [1], y: [1] }]),
      barsFigure(['a'], [{ name: 'n', values: [1] }]),
      scatterFigure([{ name: 'a', x: 1, y: 1 }]),
      heatMapFigure({ values: [[1]] }),
      heatMapGridFigure([{ values: [[1]] }]),
      imageGridFigure([{ pixels: new Uint8Array(3), width: 1, height: 1 }]),
    ];
    for (const figure of figures) {
      assert.equal(figure.layout.paper_bgcolor, 'rgba(0, 0, 0, 0)');
      assert.deepEqual(JSON.parse(JSON.stringify(figure)), figure);
    }
  });
});

describe('curves', () => {
  it('may have more points than a call takes arguments', () => {
    const x = Int32Array.from({ length: 300_000 }, (_, i) => i);
    assert.equal(curvesFigure([{ name: 'a', x, y: new Float32Array(x.length) }]).layout.xaxis?.dtick, undefined);
  });

  it('differ in colour, dash and marker', () => {
    const figure = curvesFigure(PALETTE.slice(0, 6).map((_, i) => ({ name: `c${i}`, x: [1], y: [i] })));
    const looks = traces(figure).map(({ line, marker }) => JSON.stringify([line, marker]));
    assert.equal(new Set(looks).size, 6);
    assert.equal(figure.layout.showlegend, true);
    assert.equal(curvesFigure([{ name: 'a', x: [1], y: [1] }]).layout.showlegend, false);
  });

  it('take typed arrays and show gaps for what is not finite', () => {
    const [line] = traces(curvesFigure([{ name: 'a', x: Int32Array.of(1, 2), y: Float32Array.of(0.5, Number.NaN) }]));
    assert.deepEqual(
      [line!.x, line!.y],
      [
        [1, 2],
        [0.5, null],
      ],
    );
  });

  it('have a band of their spread', () => {
    const [band, line] = traces(curvesFigure([{ name: 'a', x: [1, 2], y: [5, 6], spread: [1, 2] }]));
    assert.deepEqual(band!.x, [1, 2, 2, 1]);
    assert.deepEqual(band!.y, [6, 8, 4, 4]);
    assert.equal(line!['name'], 'a');
  });

  it('have a tick for each of a few whole numbers, and plotly decides otherwise', () => {
    const ticks = (x: number[]) => curvesFigure([{ name: 'a', x, y: x }]).layout.xaxis?.dtick;
    assert.deepEqual([ticks([1, 2, 3]), ticks([0.5, 1]), ticks([1, 100])], [1, undefined, undefined]);
    const onLog = curvesFigure([{ name: 'a', x: [1, 5], y: [1, 5] }], { x: { log: true } });
    assert.equal(onLog.layout.xaxis?.dtick, undefined, 'there it would be a tick a decade');
    const over = (...x: number[]) => curvesFigure([{ name: 'a', x, y: x }], { x: { log: true } }).layout.xaxis;
    assert.deepEqual(over(0, 2, 20)?.tickvals, [1, 2, 5, 10, 20, 50, 100, 200, 500]);
    assert.equal(over(1, 2, 300)?.dtick, 1, 'powers of ten over more than two decades');
  });

  it('say percentages with the digits that they need', () => {
    const { yaxis } = curvesFigure([{ name: 'a', x: [1, 2], y: [0.281, 0.286] }], { y: { percent: true } }).layout;
    assert.deepEqual([yaxis?.tickformat, yaxis?.range], ['~%', undefined]);
  });

  it('show a little about a value that is the only one', () => {
    const rangeOf = (y: number[], options: { percent?: boolean; log?: boolean } = {}, spread?: number[]) =>
      curvesFigure([{ name: 'a', x: y.map((_, i) => i), y, ...(spread && { spread }) }], { y: options }).layout.yaxis
        ?.range;
    assert.deepEqual(rangeOf([200, 200, Number.NaN]), [180, 220]);
    assert.deepEqual(rangeOf([-2]), [-2.2, -1.8]);
    assert.deepEqual(rangeOf([0]), [-1, 1]);
    for (const [value, low, high] of [
      [0.5, 0.45, 0.55],
      [0, -0.005, 0.05],
      [1, 0.9, 1.005],
    ] as const) {
      assert.deepEqual(rangeOf([value], { percent: true }), [low, high], `${value}`);
    }
    for (const range of [rangeOf([]), rangeOf([1, 2]), rangeOf([3], { log: true }), rangeOf([1], {}, [0.5])]) {
      assert.equal(range, undefined);
    }
  });

  it('need as many x as y', () => {
    assert.throws(() => curvesFigure([{ name: 'loss', x: [1, 2], y: [1] }]), {
      name: 'UsageError',
      message: /'loss'.*2 and 1/,
    });
  });
});

describe('bars', () => {
  it('stand in groups with errors', () => {
    const figure = barsFigure(['a', 'b'], [{ name: 'n', values: [1, 2], errors: [0.1, 0.2] }]);
    const [trace] = traces(figure);
    assert.deepEqual(
      [trace!.x, trace!.y],
      [
        ['a', 'b'],
        [1, 2],
      ],
    );
    assert.deepEqual((trace!['error_y'] as { array: number[] }).array, [0.1, 0.2]);
    assert.throws(() => barsFigure(['a'], [{ name: 'n', values: [1, 2] }]), /1 and 2/);
  });

  it('lie from the top down', () => {
    const figure = barsFigure(['a', 'b'], [{ name: 'n', values: [1, 2] }], {
      horizontal: true,
      x: { label: 'method' },
    });
    const [trace] = traces(figure);
    assert.deepEqual([trace!['orientation'], trace!.x, trace!.y], ['h', [1, 2], ['a', 'b']]);
    const axis = figure.layout.yaxis as { autorange: string; title: { text: string } };
    assert.deepEqual([axis.autorange, axis.title.text], ['reversed', 'method']);
  });
});

describe('Pareto front', () => {
  const point = (name: string, x: number, y: number) => ({ name, x, y });

  it('holds what no other point beats', () => {
    const points = [point('a', 1, 1), point('b', 2, 3), point('c', 3, 2), point('d', 4, 4), point('e', 2, 2)];
    assert.deepEqual(
      paretoFront(points).map(({ name }) => name),
      ['a', 'b', 'd'],
    );
    assert.deepEqual(
      paretoFront(points, { x: 'large', y: 'small' }).map(({ name }) => name),
      ['a', 'c', 'd'],
    );
  });

  it('keeps equal points, and none of none', () => {
    assert.equal(paretoFront([point('a', 1, 1), point('b', 1, 1)]).length, 2);
    assert.deepEqual(paretoFront([]), []);
  });

  it('are told apart also where there are more than colours', () => {
    const many = Array.from({ length: PALETTE.length + 4 }, (_, x) => ({ name: `method ${x}`, x, y: x }));
    const [, ...points] = traces(scatterFigure(many));
    assert.equal(new Set(points.map(({ marker }) => JSON.stringify(marker))).size, many.length);
  });

  it('carry error bars where a point has one', () => {
    const figure = scatterFigure([
      { name: 'a', x: 1, y: 1, error: 0.2 },
      { name: 'b', x: 2, y: 2 },
    ]);
    const [, a, b] = traces(figure) as { error_y?: { array: number[] } }[];
    assert.deepEqual([a!.error_y!.array, b!.error_y], [[0.2], undefined]);
  });

  it('show a little about the only point there is, and its error', () => {
    const axes = (error: number) => {
      const { xaxis, yaxis } = scatterFigure([{ name: 'a', x: 50, y: 0.5, error }], { y: { percent: true } }).layout;
      return [xaxis?.range, yaxis?.range];
    };
    assert.deepEqual(axes(0), [
      [45, 55],
      [0.45, 0.55],
    ]);
    assert.deepEqual(axes(0.1), [[45, 55], undefined]);
  });

  it('is drawn among the points', () => {
    const [front, ...rest] = traces(scatterFigure([point('a', 1, 1), point('b', 2, 0.5), point('a', 3, 2)]));
    assert.deepEqual(front!.x, [1, 3]);
    assert.deepEqual(
      rest.map(({ name, x }) => [name, x]),
      [
        ['a', [1, 3]],
        ['b', [2]],
      ],
    );
  });
});

describe('heat map', () => {
  it('is drawn from the top down, with names', () => {
    const figure = heatMapFigure({
      values: [
        [1, 2],
        [3, Number.NaN],
      ],
      rows: ['r', 's'],
      columns: ['c', 'd'],
      annotate: true,
    });
    const [trace] = traces(figure);
    assert.deepEqual(
      [trace!['z'], trace!.x, trace!.y],
      [
        [
          [1, 2],
          [3, null],
        ],
        ['c', 'd'],
        ['r', 's'],
      ],
    );
    assert.equal((figure.layout.yaxis as { autorange: string }).autorange, 'reversed');
    assert.throws(() => heatMapFigure({ values: [[1, 2], [3]] }), /row 1.*1 and 2/);
    assert.throws(() => heatMapFigure({ values: [[1]], rows: ['a', 'b'] }), /row names/);
  });
});

describe('grid of heat maps', () => {
  type Panel = Record<'x0' | 'dx' | 'y0' | 'dy', number> & { z: unknown; hovertemplate: string };
  const panelsOf = (figure: { data: unknown[] }) => figure.data as Panel[];
  const scaleOf = (figure: { layout: unknown }) =>
    (figure.layout as { coloraxis: { cmin: number; cmax: number; colorscale: unknown } }).coloraxis;
  const fine = { values: [new Float32Array([1, 2, 3, 4]), [5, 6, 7, 8]], label: '<fine>' };
  const coarse = { values: [[-3, Number.NaN]], label: 'coarse' };

  it('gives every panel the same length of side, whatever its grid', () => {
    const [first, second, third] = panelsOf(heatMapGridFigure([fine, coarse, fine], { columns: 2 }));
    assert.deepEqual([first!.dx, first!.dy, second!.dx, second!.dy], [0.25, 0.25, 0.5, 0.5]);
    assert.deepEqual([first!.x0, second!.y0 - first!.y0], [0.125, 0.125]);
    assert.deepEqual([third!.x0 === first!.x0, third!.y0 > first!.y0, second!.x0 > 1], [true, true, true]);
    assert.deepEqual([first!.z, second!.z], [fine.values.map((row) => [...row]), [[-3, null]]]);
  });

  it('writes values into cells only where asked', () => {
    const written = (annotate: boolean) =>
      heatMapGridFigure([coarse], { annotate }).data[0] as { texttemplate?: string };
    assert.deepEqual([written(true).texttemplate, written(false).texttemplate], ['%{z:.3~g}', undefined]);
  });

  it('has one colour scale: of all values, of a range, or about zero', () => {
    const ends = (options: object) => {
      const { cmin, cmax } = scaleOf(heatMapGridFigure([fine, coarse], options));
      return [cmin, cmax];
    };
    assert.deepEqual(ends({}), [-3, 8]);
    assert.deepEqual(ends({ range: [0, 1] }), [0, 1]);
    assert.deepEqual(ends({ diverging: true }), [-8, 8]);
  });

  it('labels its panels above them, escaped', () => {
    const figure = heatMapGridFigure([fine, { values: [[1]] }]);
    const annotations = figure.layout.annotations as { text: string; y: number }[];
    assert.deepEqual(
      annotations.map(({ text }) => text),
      ['&lt;fine&gt;'],
    );
    const [panel] = panelsOf(figure);
    assert.ok(annotations[0]!.y <= panel!.y0 - panel!.dy / 2);
    assert.match(panel!.hovertemplate, /&lt;fine&gt;/);
  });

  it('needs a map, and rows of one length', () => {
    assert.throws(() => heatMapGridFigure([]), { name: 'ShapeError' });
    assert.throws(() => heatMapGridFigure([{ values: [] }]), /got none/);
    assert.throws(() => heatMapGridFigure([fine, { values: [[1, 2], [3]] }]), {
      name: 'ShapeError',
      message: /Heat map 1 .*2 and 1/,
    });
  });
});
