// The look that all figures share. Colours, text and lines keep a contrast of at least 3 : 1 on white and on
// JupyterLab's dark page (WCAG 2.2, 1.4.11), and colour never stands alone: dashes and marker shapes differ too.
import type { Layout } from 'plotly.js-dist-min';

/** Colours of series, in order: told apart with the common colour-vision deficiencies in pairs of neighbours. */
export const PALETTE = [
  '#1f77c9',
  '#d95f02',
  '#159a76',
  '#c0569b',
  '#a57c00',
  '#7d6bd1',
  '#c94f4f',
  '#7f8388',
] as const;

/** Colours of heat maps over images, from low to high: dark to bright, so that the order also shows without colour. */
export const HEAT_COLORS = ['#08051d', '#56147d', '#bb3754', '#f98e09', '#fcffa4'] as const;

/** `HEAT_COLORS` as a colour scale of plotly's. */
export const HEAT_SCALE: [number, string][] = HEAT_COLORS.map((color, i) => [i / (HEAT_COLORS.length - 1), color]);

export const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot'] as const;

export const SYMBOLS = ['circle', 'square', 'diamond', 'cross', 'triangle-up', 'x', 'star', 'hexagon'] as const;

/** Text on a page of either scheme. */
export const INK = '#7b8087';
const GRID = 'rgba(128, 132, 140, 0.22)';

/** The item of a cyclic list. */
export function cycle<T>(list: readonly T[], index: number): T {
  return list[index % list.length]!;
}

/** `#rrggbb` with an alpha, for bands and fills. */
export function translucent(color: string, alpha: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

export interface AxisOptions {
  readonly label?: string;
  readonly log?: boolean;
  /** Ticks as percentages of values between 0 and 1. */
  readonly percent?: boolean;
}

/** Shares as percentages with as many digits as each needs, so that no two ticks of a narrow range read the same. */
export const PERCENT_TICKS = '~%';

/** One axis in the common look. It is for `values`; where those are left out, or differ, plotly chooses the range. */
export function axis(
  { label, log, percent }: AxisOptions = {},
  values: Iterable<number | null> = [],
): NonNullable<Layout['xaxis']> {
  const range = log ? undefined : rangeAboutOne(values, percent);
  return {
    ...(label && { title: { text: label, standoff: 10, font: { size: 13 } } }),
    type: log ? 'log' : '-',
    ...(log && logTicks(values)),
    ...(percent && { tickformat: PERCENT_TICKS }),
    ...(range && { range }),
    automargin: true,
    gridcolor: GRID,
    zerolinecolor: GRID,
    linecolor: INK,
    ticks: 'outside',
    tickcolor: GRID,
    ticklen: 4,
  };
}

/** 1, 2, 5, 10, … over one or two decades, powers of ten over more: plotly's own ticks run into each other. */
function logTicks(values: Iterable<number | null>): { tickvals: number[] } | { dtick: 1 } | undefined {
  const logs = [...values].flatMap((value) => (value !== null && value > 0 ? [Math.log10(value)] : []));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  if (!(high - low >= 1)) return undefined;
  if (high - low >= 2) return { dtick: 1 };
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => 10 ** (Math.floor(low) + i));
  return { tickvals: decades.flatMap((decade) => [decade, 2 * decade, 5 * decade]) };
}

/** Where all values are the same one: a tenth of it to either side. Plotly would show 1 to either side. */
function rangeAboutOne(values: Iterable<number | null>, percent = false): [number, number] | undefined {
  let one: number | undefined;
  for (const value of values) {
    if (value === null) continue;
    one ??= value;
    if (value !== one) return undefined;
  }
  if (one === undefined) return undefined;
  const room = Math.abs(one) / 10 || (percent ? 0.05 : 1);
  const [low, high] = [one - room, one + room];
  if (!percent) return [low, high];
  // no tick at -5 % or 105 %, but a marker at 0 or 100 % in full
  return [Math.max(low, Math.min(one, 0) - 0.005), Math.min(high, Math.max(one, 1) + 0.005)];
}

/** The layout that every figure starts from: transparent, so that the page around it decides light or dark. */
export function baseLayout(title: string | undefined): Partial<Layout> {
  return {
    ...(title && { title: { text: title, x: 0, xref: 'paper', font: { size: 16 } } }),
    paper_bgcolor: 'rgba(0, 0, 0, 0)',
    plot_bgcolor: 'rgba(0, 0, 0, 0)',
    font: { family: 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif', size: 13, color: INK },
    colorway: [...PALETTE],
    margin: { t: title ? 48 : 16, r: 16, b: 48, l: 56 },
    legend: { orientation: 'h', x: 0, xref: 'paper', y: 0.01, yref: 'container', yanchor: 'bottom' },
    hoverlabel: { namelength: -1 },
  };
}

/** Plotly reads a few HTML tags and entities in texts. */
export function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
