// Small multiples: several heat maps on one colour scale, such as the similarity map of each position.
import type { Data, Layout } from 'plotly.js-dist-min';
import { ShapeError } from '../errors.js';
import type { Figure } from './figures.js';
import { baseLayout, escapeMarkup, HEAT_SCALE, PALETTE } from './style.js';

/** One map: rows of values from the top down. Its cells are square, its longer side is as long as every panel's. */
export interface HeatMapPanel {
  readonly values: readonly ArrayLike<number>[];
  readonly label?: string;
}

export interface HeatMapGridOptions {
  readonly title?: string;
  /** Panels in a row; default: about as many as there are rows. */
  readonly columns?: number;
  /** The values at the ends of the colour scale; default: the smallest and the largest of all panels. */
  readonly range?: readonly [number, number];
  /** A scale with its middle at zero, for values of both signs. */
  readonly diverging?: boolean;
  /** Writes the value into each cell. */
  readonly annotate?: boolean;
  /** What the colours mean, beside their scale. */
  readonly scale?: string;
}

/** Between two panels, in panel sides. */
const GAP = 0.12;
/** Space for a label above its panel, in panel sides. */
const LABEL = 0.2;
const DIVERGING: [number, string][] = [
  [0, PALETTE[0]],
  [0.5, '#f4f4f4'],
  [1, PALETTE[1]],
];

/** Heat maps side by side on one colour scale. @throws ShapeError where there is none, or a map has no even rows */
export function heatMapGridFigure(panels: readonly HeatMapPanel[], options: HeatMapGridOptions = {}): Figure {
  if (panels.length === 0) throw new ShapeError('A grid of heat maps needs at least one, but got none.');
  const columns = Math.min(panels.length, options.columns ?? Math.ceil(Math.sqrt(panels.length)));
  const rows = Math.ceil(panels.length / columns);
  const labelHeight = panels.some(({ label }) => label) ? LABEL : 0;
  const [stepX, stepY] = [1 + GAP, 1 + GAP + labelHeight];
  const [totalX, totalY] = [columns * stepX - GAP, rows * stepY - GAP];
  const placed = panels.map((panel, index) => {
    const [height, width] = sizeOf(panel, index);
    const side = 1 / Math.max(height, width);
    const [left, top] = [(index % columns) * stepX, Math.floor(index / columns) * stepY + labelHeight];
    return { panel, side, left, top, middle: left + (width * side) / 2 };
  });
  const data = placed.map(
    ({ panel, side, left, top }): Data => ({
      type: 'heatmap',
      z: panel.values.map((row) => Array.from(row, (value) => (Number.isFinite(value) ? value : null))),
      ...{ x0: left + side / 2, dx: side, y0: top + side / 2, dy: side },
      coloraxis: 'coloraxis',
      ...(options.annotate && { texttemplate: '%{z:.3~g}' }),
      hovertemplate: `${panel.label ? `${escapeMarkup(panel.label)}: ` : ''}%{z:.4~g}<extra></extra>`,
    }),
  );
  const annotations = placed.flatMap(({ panel, top, middle }) =>
    panel.label
      ? [
          {
            ...{ text: escapeMarkup(panel.label), x: middle, y: top, showarrow: false, font: { size: 11 } },
            ...{ xanchor: 'center' as const, yanchor: 'bottom' as const },
          },
        ]
      : [],
  );
  const [low, high] = options.range ?? rangeOf(panels, options.diverging ?? false);
  const hidden = { visible: false, fixedrange: true };
  const layout: Partial<Layout> = {
    ...baseLayout(options.title),
    annotations,
    coloraxis: {
      ...{ cmin: low, cmax: high, colorscale: options.diverging ? DIVERGING : HEAT_SCALE },
      colorbar: { thickness: 12, outlinewidth: 0, ...(options.scale && { title: { text: options.scale } }) },
    },
    height: Math.round(Math.min(900, Math.max(200, (totalY / totalX) * 600))) + (options.title ? 72 : 32),
    xaxis: { ...hidden, range: [0, totalX], constrain: 'domain' },
    yaxis: { ...hidden, range: [totalY, 0], scaleanchor: 'x', constrain: 'domain' },
    margin: { t: options.title ? 48 : 8, r: 8, b: 16, l: 8 },
    showlegend: false,
  };
  return { data, layout };
}

function sizeOf({ values }: HeatMapPanel, index: number): [number, number] {
  const width = values[0]?.length ?? 0;
  const other = values.find((row) => row.length !== width);
  if (width > 0 && !other) return [values.length, width];
  throw new ShapeError(
    `Heat map ${index} needs rows of one length, but got ${other ? `${width} and ${other.length} values` : 'none'}.`,
  );
}

function rangeOf(panels: readonly HeatMapPanel[], diverging: boolean): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { values } of panels) {
    for (const value of values.flatMap((row) => Array.from(row)).filter(Number.isFinite)) {
      [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
  if (low > high) return [0, 1];
  const reach = Math.max(Math.abs(low), Math.abs(high));
  return diverging ? [-reach, reach] : [low, high];
}
