// Figures as plotly JSON: plain data in, `{ data, layout }` out; nothing is drawn here.
import type { Data, Layout } from 'plotly.js-dist-min';
import { UsageError } from '../errors.js';
import { type AxisOptions, axis, baseLayout, cycle, DASHES, PALETTE, SYMBOLS, translucent } from './style.js';

/** A plotly figure. JSON.stringify gives the `application/vnd.plotly.v1+json` form. */
export interface Figure {
  readonly data: Data[];
  readonly layout: Partial<Layout>;
}

export interface FigureOptions {
  readonly title?: string;
  readonly x?: AxisOptions;
  readonly y?: AxisOptions;
}

/** A line. `spread`, where given, is drawn as a band of that half-width around it. */
export interface Curve {
  readonly name: string;
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly spread?: ArrayLike<number>;
}

/** Lines over a common axis, such as loss over steps. @throws UsageError where x, y or spread differ in length. */
export function curvesFigure(curves: readonly Curve[], options: FigureOptions = {}): Figure {
  const data = curves.flatMap((curve, index): Data[] => {
    const { name } = curve;
    sameLength(`curve '${name}'`, curve.x, curve.y);
    const [x, y] = [Array.from(curve.x), finite(curve.y)];
    const color = cycle(PALETTE, index);
    const line: Data = {
      type: 'scatter',
      mode: x.length <= 30 ? 'lines+markers' : 'lines',
      name,
      x,
      y,
      legendgroup: name,
      line: { color, width: 2, dash: cycle(DASHES, index) },
      marker: { color, size: 6, symbol: cycle(SYMBOLS, index) },
    };
    if (!curve.spread) return [line];
    sameLength(`the spread of curve '${name}'`, curve.x, curve.spread);
    return [bandOf(name, x, y, Array.from(curve.spread), color), line];
  });
  const values = data.flatMap((trace) => (trace as { y: (number | null)[] }).y);
  const layout = frame(options, options.x?.log ? curves.flatMap(({ x }) => Array.from(x)) : [], values);
  return {
    data,
    layout: {
      ...layout,
      xaxis: { ...layout.xaxis, ...(!options.x?.log && countsFew(curves) && { dtick: 1 }) },
      showlegend: curves.length > 1,
      hovermode: 'x unified',
    },
  };
}

/** Whether the curves run over a few whole numbers, such as epochs: no tick belongs between those. */
function countsFew(curves: readonly Curve[]): boolean {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of curves.flatMap((curve) => Array.from(curve.x))) {
    if (!Number.isInteger(x)) return false;
    [low, high] = [Math.min(low, x), Math.max(high, x)];
  }
  return high >= low && high - low <= 12;
}

function bandOf(name: string, x: number[], y: (number | null)[], spread: number[], color: string): Data {
  const at = (i: number, sign: number) => (y[i] === null ? null : y[i]! + sign * spread[i]!);
  const upper = x.map((_, i) => at(i, 1));
  const lower = x.map((_, i) => at(i, -1)).reverse();
  return {
    type: 'scatter',
    mode: 'lines',
    x: [...x, ...[...x].reverse()],
    y: [...upper, ...lower],
    fill: 'toself',
    fillcolor: translucent(color, 0.18),
    line: { width: 0 },
    legendgroup: name,
    showlegend: false,
    hoverinfo: 'skip',
  };
}

/** One group of bars: a value, and where known its error (a half-width, such as a standard deviation), per label. */
export interface Bars {
  readonly name: string;
  readonly values: readonly number[];
  readonly errors?: readonly number[];
}

export interface BarsOptions extends FigureOptions {
  /** Bars grow to the right, from the top down: room for long labels. `x` and `y` still describe labels and values. */
  readonly horizontal?: boolean;
}

/** Grouped bars over `labels`. @throws UsageError where a group has not one value a label. */
export function barsFigure(labels: readonly string[], groups: readonly Bars[], options: BarsOptions = {}): Figure {
  const { horizontal = false } = options;
  const data = groups.map(({ name, values, errors }, index): Data => {
    sameLength(`bars '${name}'`, labels, values);
    if (errors) sameLength(`the errors of bars '${name}'`, labels, errors);
    const error = errors && { type: 'data' as const, array: [...errors], visible: true, thickness: 1.5, width: 4 };
    const [along, across] = [[...labels], finite(values)];
    return {
      type: 'bar',
      name,
      ...(horizontal ? { orientation: 'h', x: across, y: along } : { x: along, y: across }),
      marker: { color: cycle(PALETTE, index) },
      ...(error && (horizontal ? { error_x: error } : { error_y: error })),
    };
  });
  const bars = { ...baseLayout(options.title), barmode: 'group' as const, bargap: 0.3, showlegend: groups.length > 1 };
  const labelAxis = { ...axis(options.x), type: 'category' as const, showgrid: false };
  const valueAxis = axis(options.y);
  if (!horizontal) return { data, layout: { ...bars, xaxis: labelAxis, yaxis: valueAxis } };
  const height = 110 + labels.length * Math.max(1, groups.length) * 34;
  return { data, layout: { ...bars, height, xaxis: valueAxis, yaxis: { ...labelAxis, autorange: 'reversed' } } };
}

export interface Point {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  /** Half-width of a bar at `y`, such as a standard deviation over seeds. */
  readonly error?: number;
}

/** Which end of each axis is the better one; the default is small x (cost), large y (quality). */
export interface Better {
  readonly x: 'small' | 'large';
  readonly y: 'small' | 'large';
}

/** The points that no other point beats or equals on both axes (with one of them strictly), sorted by x. */
export function paretoFront(points: readonly Point[], better: Better = { x: 'small', y: 'large' }): readonly Point[] {
  const [signX, signY] = [better.x === 'large' ? 1 : -1, better.y === 'large' ? 1 : -1];
  const beats = (a: Point, b: Point) => {
    const [dx, dy] = [signX * (a.x - b.x), signY * (a.y - b.y)];
    return dx >= 0 && dy >= 0 && dx + dy > 0;
  };
  return points.filter((point) => !points.some((other) => beats(other, point))).sort((a, b) => a.x - b.x || a.y - b.y);
}

/** Named points and the Pareto front among them, such as accuracy over trained parameters. */
export function scatterFigure(
  points: readonly Point[],
  options: FigureOptions & { readonly better?: Better } = {},
): Figure {
  const front = paretoFront(points, options.better);
  const names = [...new Set(points.map(({ name }) => name))];
  const data: Data[] = [
    {
      type: 'scatter',
      mode: 'lines',
      name: 'Pareto front',
      x: front.map(({ x }) => x),
      y: front.map(({ y }) => y),
      line: { color: cycle(PALETTE, 7), width: 1.5, dash: 'dash' },
      hoverinfo: 'skip',
    },
    ...names.map((name, index): Data => {
      const own = points.filter((point) => point.name === name);
      const errors = own.map(({ error = 0 }) => error);
      return {
        type: 'scatter',
        mode: 'markers',
        name,
        x: own.map(({ x }) => x),
        y: own.map(({ y }) => y),
        ...(errors.some((error) => error > 0) && {
          error_y: { type: 'data', array: errors, visible: true, thickness: 1.5 },
        }),
        marker: {
          color: cycle(PALETTE, index),
          size: 11,
          symbol: `${cycle(SYMBOLS, index)}${index < SYMBOLS.length ? '' : '-open'}`,
        },
      };
    }),
  ];
  const ends = points.flatMap(({ y, error = 0 }) => [y - error, y + error]);
  const xs = points.map(({ x }) => x);
  return { data, layout: { ...frame(options, xs, ends), showlegend: true } };
}

/** A matrix as colours, such as a confusion matrix. `rows[i]` names `values[i]`, drawn from the top down. */
export interface HeatMap {
  readonly values: readonly ArrayLike<number>[];
  readonly rows?: readonly string[];
  readonly columns?: readonly string[];
  /** Writes the value into each cell. */
  readonly annotate?: boolean;
}

/** @throws UsageError where rows differ in length, or names and values in number. */
export function heatMapFigure(map: HeatMap, options: FigureOptions = {}): Figure {
  const width = map.values[0]?.length ?? 0;
  const rows = map.rows ?? map.values.map((_, i) => String(i));
  const columns = map.columns ?? Array.from({ length: width }, (_, i) => String(i));
  sameLength('the row names of the heat map', rows, map.values);
  map.values.forEach((row, i) => {
    sameLength(`row ${i} of the heat map`, row, columns);
  });
  const data: Data = {
    type: 'heatmap',
    x: [...columns],
    y: [...rows],
    z: map.values.map((row) => finite(row)),
    colorscale: 'Cividis',
    xgap: 1,
    ygap: 1,
    colorbar: { thickness: 12, outlinewidth: 0 },
    ...(map.annotate && { texttemplate: '%{z:.3~g}' }),
  };
  const layout = frame(options);
  return {
    data: [data],
    layout: {
      ...layout,
      xaxis: { ...layout.xaxis, type: 'category', showgrid: false },
      yaxis: { ...layout.yaxis, type: 'category', showgrid: false, autorange: 'reversed' },
    },
  };
}

/** What all figures with a pair of axes have; `xs` and `ys` are what is drawn over them. */
function frame(options: FigureOptions, xs: Iterable<number> = [], ys: Iterable<number | null> = []): Partial<Layout> {
  return { ...baseLayout(options.title), xaxis: axis(options.x, xs), yaxis: axis(options.y, ys) };
}

/** JSON has no NaN or infinity; a gap in the line says the same. */
function finite(values: ArrayLike<number>): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? value : null));
}

function sameLength(what: string, a: { readonly length: number }, b: { readonly length: number }): void {
  if (a.length !== b.length) {
    throw new UsageError(`The lengths of ${what} do not fit: ${a.length} and ${b.length}, expected equal ones.`);
  }
}
