// Figures of lines as SVG: for pictures that renew themselves (JupyterLab's plotly renderer draws a figure once and
// passes over updates), and where nothing reads plotly.
import { UsageError } from '../errors.js';
import type { Figure } from './figures.js';
import { INK, PERCENT_TICKS } from './style.js';
import { escapeHtml } from './table.js';

const WIDTH = 860;
const MARGIN = { top: 40, right: 16, left: 56 };
/** Tick labels and axis title below a panel. */
const AXIS_HEIGHT = 48;
const LEGEND_ROW = 20;
const LETTER = 7.2;
const DASHES: Readonly<Record<string, string>> = { dash: '7 4', dot: '2 3', dashdot: '7 3 2 3' };

/** What is read of a trace. */
interface Line {
  type?: string;
  name?: string;
  mode?: string;
  x: number[];
  y: (number | null)[];
  xaxis?: string;
  showlegend?: boolean;
  line?: { color?: string; width?: number; dash?: string };
}
/** What is read of an axis. */
interface Axis {
  domain?: [number, number];
  title?: { text?: string };
  tickformat?: string;
}
type Range = readonly [number, number];

/** A figure of `curvesFigure`, or several side by side of `panelsFigure`. @throws UsageError for other kinds of figures */
export function sketchSvg({ data, layout }: Figure): string {
  const lines = data as unknown as Line[];
  const other = lines.find(({ type }) => type !== 'scatter');
  if (other) throw new UsageError(`Only lines can be sketched, but the figure has a '${other.type}'.`);
  const legend = lines.filter(({ name, showlegend }) => name !== undefined && showlegend !== false);
  const rows = legendRows(legend.map(({ name }) => name!));
  const height = layout.height ?? 340;
  const bottom = height - AXIS_HEIGHT - rows.length * LEGEND_ROW;
  const panels = [...new Set(lines.map(({ xaxis = 'x' }) => xaxis))].map((id) => {
    const axes = layout as unknown as Record<string, Axis | undefined>;
    const number = id.slice(1);
    const own = lines.filter(({ xaxis = 'x' }) => xaxis === id);
    return panelSvg(own, axes[`xaxis${number}`] ?? {}, axes[`yaxis${number}`] ?? {}, bottom);
  });
  const titles = (layout.annotations ?? []).map(({ text = '', x }) =>
    textSvg(text, placeX(Number(x)), MARGIN.top - 16, 'start', 14),
  );
  const items = rows.flatMap((row, index) =>
    row.map(({ at, left }) => legendSvg(legend[at]!, left, bottom + AXIS_HEIGHT + index * LEGEND_ROW + 8)),
  );
  const font = 'font-family="system-ui, DejaVu Sans, sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" fill="${INK}" ${font}>${[...panels, ...titles, ...items].join('')}</svg>`;
}

/** A place along the width that all panels share, from 0 to 1. */
function placeX(share: number): number {
  return MARGIN.left + share * (WIDTH - MARGIN.left - MARGIN.right);
}

function panelSvg(lines: readonly Line[], xAxis: Axis, yAxis: Axis, bottom: number): string {
  const [from, to] = (xAxis.domain ?? [0, 1]).map(placeX) as [number, number];
  const xs = rangeOf(
    lines.flatMap(({ x }) => x),
    true,
  );
  const ys = rangeOf(
    lines.flatMap(({ y }) => y.filter((value): value is number => value !== null)),
    false,
  );
  const x = (value: number): number => from + ((value - xs[0]) / (xs[1] - xs[0])) * (to - from);
  const y = (value: number): number => bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (bottom - MARGIN.top);
  const grid = `stroke="${INK}" stroke-opacity="0.25"`;
  const percent = yAxis.tickformat === PERCENT_TICKS;
  return [
    ...ticks(xs).map((value) => textSvg(tickText(value), x(value), bottom + 16, 'middle')),
    ...ticks(ys).map(
      (value) =>
        `<path d="M${from} ${round(y(value))}H${to}" ${grid}/>${textSvg(percent ? `${tickText(100 * value)}%` : tickText(value), from - 6, y(value) + 4, 'end')}`,
    ),
    `<path d="M${from} ${MARGIN.top}V${bottom}H${to}" fill="none" stroke="${INK}"/>`,
    textSvg(xAxis.title?.text ?? '', (from + to) / 2, bottom + 34, 'middle'),
    ...lines.map((line) => lineSvg(line, x, y)),
  ].join('');
}

function lineSvg(line: Line, x: (value: number) => number, y: (value: number) => number): string {
  const points = line.x.flatMap((at, i) => {
    const value = line.y[i];
    return value === null || value === undefined ? [] : [[round(x(at)), round(y(value))] as const];
  });
  const color = line.line?.color ?? INK;
  const path = `<path d="M${points.map((point) => point.join(' ')).join('L')}" fill="none" ${strokeOf(line)}/>`;
  const markers = line.mode?.includes('markers')
    ? points.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3"/>`)
    : [];
  return points.length === 0 ? '' : `${path}<g fill="${color}">${markers.join('')}</g>`;
}

function strokeOf({ line: { color = INK, width = 2, dash = 'solid' } = {} }: Line): string {
  const dashes = DASHES[dash];
  return `stroke="${color}" stroke-width="${width}"${dashes ? ` stroke-dasharray="${dashes}"` : ''}`;
}

function legendSvg(line: Line, left: number, top: number): string {
  return `<path d="M${left} ${top - 4}h24" ${strokeOf(line)}/>${textSvg(line.name ?? '', left + 30, top, 'start')}`;
}

/** The places of names in rows as wide as the picture. */
function legendRows(names: readonly string[]): { at: number; left: number }[][] {
  const rows: { at: number; left: number }[][] = [];
  let left = Number.POSITIVE_INFINITY;
  for (const [at, name] of names.entries()) {
    const width = 50 + name.length * LETTER;
    if (left + width > WIDTH - MARGIN.right) {
      rows.push([]);
      left = MARGIN.left;
    }
    rows.at(-1)!.push({ at, left });
    left += width;
  }
  return rows;
}

function textSvg(text: string, x: number, y: number, anchor: 'start' | 'middle' | 'end', size?: number): string {
  if (text === '') return '';
  const own = size === undefined ? '' : ` font-size="${size}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${own}>${escapeHtml(text)}</text>`;
}

/** From the smallest to the largest value with a little room, or from 0; never empty. */
function rangeOf(values: readonly number[], fromZero: boolean): Range {
  let [low, high] = fromZero ? [0, 0] : [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (!(high >= low)) return [0, 1];
  const room = high > low ? 0.05 * (high - low) : Math.max(1e-3, 0.1 * Math.abs(high));
  return fromZero ? [0, high > 0 ? high + room : 1] : [low - room, high + room];
}

/** About five round numbers within a range. */
function ticks([low, high]: Range): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const tickText = (value: number): string => String(Number(value.toPrecision(6)));
const round = (value: number): number => Math.round(10 * value) / 10;
