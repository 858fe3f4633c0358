// Several figures side by side as one.
import type { Data, Layout } from 'plotly.js-dist-min';
import { UsageError } from '../errors.js';
import type { Figure } from './figures.js';
import { baseLayout } from './style.js';

/** The space between two panels, as a share of the whole. */
const GAP = 0.12;

/**
 * Figures with one pair of axes each (curves, bars, scatter plots), side by side; the title of each stands above it. The
 * legend is a common one, in which a name appears once. @throws UsageError where there is none
 */
export function panelsFigure(panels: readonly Figure[], options: { title?: string; height?: number } = {}): Figure {
  if (panels.length === 0) throw new UsageError('Panels need at least one figure, but got none.');
  const width = (1 - GAP * (panels.length - 1)) / panels.length;
  const named = new Set<string>();
  const data: Data[] = [];
  const axes: Record<string, unknown> = {};
  const annotations: Layout['annotations'] = [];
  for (const [index, panel] of panels.entries()) {
    const number = index === 0 ? '' : String(index + 1);
    const left = index * (width + GAP);
    axes[`xaxis${number}`] = { ...panel.layout.xaxis, domain: [left, left + width], anchor: `y${number}` };
    axes[`yaxis${number}`] = { ...panel.layout.yaxis, anchor: `x${number}` };
    for (const trace of panel.data) {
      const { name, showlegend = true } = trace as { name?: string; showlegend?: boolean };
      const first = showlegend && name !== undefined && !named.has(name);
      if (first) named.add(name);
      const placed = { xaxis: `x${number}`, yaxis: `y${number}`, showlegend: first };
      data.push({ ...trace, ...placed, ...(name !== undefined && { legendgroup: name }) } as Data);
    }
    const text = textOf(panel.layout.title);
    if (text) annotations.push(heading(text, left));
  }
  const base = baseLayout(options.title);
  return {
    data,
    layout: {
      ...base,
      ...axes,
      margin: { ...base.margin, t: options.title ? 76 : 36 },
      annotations,
      showlegend: named.size > 1,
      ...(options.height !== undefined && { height: options.height }),
    },
  };
}

function textOf(title: Layout['title'] | undefined): string {
  return typeof title === 'string' ? title : (title?.text ?? '');
}

function heading(text: string, x: number): NonNullable<Layout['annotations']>[number] {
  const place = { xref: 'paper', yref: 'paper', xanchor: 'left', yanchor: 'bottom' } as const;
  return { text, x, y: 1.02, ...place, showarrow: false, font: { size: 14 } };
}
