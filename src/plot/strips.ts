// Values of several groups as dots along one axis, a row a group: where each of them lies.
import type { Data } from 'plotly.js-dist-min';
import { UsageError } from '../errors.js';
import type { Figure, FigureOptions } from './figures.js';
import type { Sample } from './histogram.js';
import { axis, baseLayout, cycle, PALETTE, SYMBOLS } from './style.js';

const ROW_HEIGHT = 44;
/** So far whole numbers have a tick each: they are steps then, such as rows of a grid. */
const FEW = 12;

/**
 * A row of dots for each sample, from the top down. `x` describes the values, `y` the samples.
 * @throws UsageError where there is no sample, or two have one name
 */
export function stripFigure(samples: readonly Sample[], options: FigureOptions = {}): Figure {
  const names = samples.map(({ name }) => name);
  if (names.length === 0) throw new UsageError('A figure of rows of dots needs at least one sample, but got none.');
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`Two samples are called '${twice}'; each needs a name of its own.`);
  const data = samples.map(({ name, values }, index): Data => {
    const color = cycle(PALETTE, index);
    return {
      type: 'scatter',
      mode: 'markers',
      name,
      x: Array.from(values),
      y: Array.from(values, () => name),
      marker: { color, size: 10, symbol: cycle(SYMBOLS, index) },
    };
  });
  const all = samples.flatMap(({ values }) => Array.from(values));
  const span = all.reduce((a, b) => Math.max(a, b), -Infinity) - all.reduce((a, b) => Math.min(a, b), Infinity);
  return {
    data,
    layout: {
      ...baseLayout(options.title),
      height: 130 + names.length * ROW_HEIGHT,
      xaxis: { ...axis(options.x, all), ...(span >= 2 && span <= FEW && { dtick: 1 }) },
      yaxis: { ...axis(options.y), type: 'category', autorange: 'reversed' },
      showlegend: false,
    },
  };
}
