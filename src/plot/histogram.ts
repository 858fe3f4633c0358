// Histograms of many numbers, such as the weights of a layer: counted here, so that a figure holds bins and not samples.
import type { Data, Layout, Shape } from 'plotly.js-dist-min';
import { UsageError } from '../errors.js';
import type { Figure, FigureOptions } from './figures.js';
import { axis, baseLayout, cycle, DASHES, INK, PALETTE, translucent } from './style.js';

export interface Sample {
  readonly name: string;
  readonly values: ArrayLike<number>;
}

export interface HistogramOptions extends FigureOptions {
  /** Default 60. */
  readonly bins?: number;
  /** What the bins cover; default: from the smallest value to the largest. Values outside are left out. */
  readonly range?: readonly [number, number];
  /** Vertical lines with a word beside them, such as bounds. */
  readonly marks?: readonly { readonly x: number; readonly label?: string }[];
}

/**
 * The densities of samples over common bins, as outlines: each has the area 1, less what lies outside of the range.
 * @throws UsageError where a sample is empty or has a value that is not finite, or there is no bin
 */
export function histogramFigure(samples: readonly Sample[], options: HistogramOptions = {}): Figure {
  const { bins = 60, marks = [] } = options;
  if (!(Number.isInteger(bins) && bins >= 1)) throw new UsageError(`A histogram needs 1 bin or more, got ${bins}.`);
  const [low, high] = options.range ?? extent(samples);
  const width = (high - low) / bins;
  if (!(width > 0)) throw new UsageError(`A histogram needs a range that grows, got ${low} to ${high}.`);
  const edges = Array.from({ length: bins + 1 }, (_, i) => low + i * width);
  const data = samples.map((sample, index): Data => {
    const color = cycle(PALETTE, index);
    const density = densities(sample, [low, high], bins);
    return {
      type: 'scatter',
      mode: 'lines',
      name: sample.name,
      x: [low, ...edges, high],
      // a step holds from its edge to the next; the outline begins and ends on the axis
      y: [0, ...density, density.at(-1)!, 0],
      line: { color, width: 2, shape: 'hv', dash: cycle(DASHES, index) },
      fill: 'tozeroy',
      fillcolor: translucent(color, 0.12),
    };
  });
  const lines = marks.map(({ x }): Partial<Shape> => {
    return { type: 'line', x0: x, x1: x, yref: 'paper', y0: 0, y1: 1, line: { color: INK, width: 1.5, dash: 'dot' } };
  });
  const labels = marks.flatMap(({ x, label }) =>
    label ? [{ x, yref: 'paper' as const, y: 1, yanchor: 'bottom' as const, text: label, showarrow: false }] : [],
  );
  const layout: Partial<Layout> = {
    ...baseLayout(options.title),
    xaxis: axis(options.x),
    yaxis: { ...axis({ label: 'density', ...options.y }), rangemode: 'tozero' },
    shapes: lines,
    annotations: labels,
    showlegend: samples.length > 1,
  };
  return { data, layout: { ...layout, margin: { ...layout.margin, ...(labels.length > 0 && { t: 72 }) } } };
}

function densities({ name, values }: Sample, [low, high]: readonly [number, number], bins: number): number[] {
  if (values.length === 0) throw new UsageError(`The sample '${name}' is empty.`);
  const counts = new Array<number>(bins).fill(0);
  const width = (high - low) / bins;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) throw new UsageError(`Value ${i} of the sample '${name}' is ${value}.`);
    if (value < low || value > high) continue;
    // the largest value belongs to the last bin
    counts[Math.min(Math.floor((value - low) / width), bins - 1)]! += 1;
  }
  return counts.map((count) => count / (values.length * width));
}

function extent(samples: readonly Sample[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { values } of samples) {
    for (let i = 0; i < values.length; i++) [low, high] = [Math.min(low, values[i]!), Math.max(high, values[i]!)];
  }
  return [low, high];
}
