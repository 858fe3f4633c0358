// The shell of a self-contained page: style, figures as data, and plotly.js inlined once; it loads nothing.
import fs from 'node:fs';
import path from 'node:path';
import { VitlabError } from '../errors.js';
import { escapeHtml } from '../plot/index.js';
import { STYLE } from './pageStyle.js';
import { ROOT } from './provenance.js';

export interface Page {
  readonly title: string;
  /** HTML between <body> and the footer. */
  readonly body: string;
  /** Plotly figures (JSON), drawn into the element of the same index; see `plotSlot`. */
  readonly figures: readonly unknown[];
  readonly footer: string;
}

/** Where figure `index` of the page is drawn. `alt` is what assistive technology reads. */
export function plotSlot(index: number, alt: string): string {
  return `<div class="frame"><div class="plot" id="plot-${index}" role="img" aria-label="${escapeHtml(alt)}"></div></div>`;
}

const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; frame-src 'self'";

/** The whole HTML document. */
export function renderPage({ title, body, figures, footer }: Page): string {
  const scripts = figures.length
    ? `${figures.map((figure, i) => `<script type="application/json" id="data-${i}">${jsonText(figure)}</script>`).join('\n')}
<script>${plotlySource()}</script>
<script>${DRAW}</script>`
    : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
${body}
<footer>${footer}</footer>
${scripts}
<script>${FRAMES}</script>
</body>
</html>
`;
}

/** JSON that cannot end the script element that it stands in. */
function jsonText(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function plotlySource(): string {
  const file = path.join(ROOT, 'node_modules', 'plotly.js-dist-min', 'plotly.min.js');
  try {
    return fs.readFileSync(file, 'utf8').replaceAll('</script', '<\\/script');
  } catch (error) {
    throw new VitlabError(`Cannot read ${file}: run the set-up again with 'node setup.mjs'.`, { cause: error });
  }
}

/** Draws the figures in the colours of the page, and again when the colour scheme or the width changes. */
const DRAW = `
(async () => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const slots = [...document.querySelectorAll('.plot')];
  // On a phone a title breaks into lines, and a grid of many labelled parts keeps its size and scrolls in its frame.
  const isGrid = ({ images = [], annotations = [] }) => images.length > 4 || annotations.length > 6;
  const titleLines = (text, width) => {
    const lines = [''];
    for (const word of text.split(' ')) {
      const longer = (lines.at(-1) + ' ' + word).trim();
      if (longer.length * 7.5 > width && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  };
  const dressed = (layout, width, seen) => {
    const axes = Object.fromEntries(Object.keys({ xaxis: 0, yaxis: 0, ...layout })
      .filter((key) => /^[xy]axis\\d*$/.test(key))
      .map((key) => [key, { ...layout[key], gridcolor: css('--line'), zerolinecolor: css('--line'), linecolor: css('--soft') }]));
    const narrow = width < 480;
    const lines = seen < 480 && layout.title?.text ? titleLines(layout.title.text, seen - 70) : undefined;
    const title = lines && { ...layout.title, text: lines.join('<br>'), font: { ...layout.title.font, size: 14 } };
    const top = lines && { t: (layout.margin?.t ?? 60) + 18 * (lines.length - 1) };
    return { ...layout, ...axes, autosize: true, width: undefined, height: undefined,
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { ...layout.font, color: css('--ink') },
      ...(title && { title }),
      margin: { ...layout.margin, ...top, ...(narrow && { l: 40, r: 8 }) },
      hoverlabel: { ...layout.hoverlabel, bgcolor: css('--panel'), bordercolor: css('--line'), font: { color: css('--ink') } } };
  };
  // A responsive figure takes its height from its element.
  const heightOf = ({ height }, width) =>
    width >= 480 ? height ?? 420 : height === undefined ? 340 : height * width / 640 + 40;
  const draw = async (redraw) => {
    for (const slot of slots) {
      const { data, layout = {} } = JSON.parse(document.getElementById(slot.id.replace('plot', 'data')).textContent);
      slot.style.minWidth = isGrid(layout) ? '36rem' : '';
      slot.style.height = heightOf(layout, slot.clientWidth) + 'px';
      const config = { responsive: true, displaylogo: false, scrollZoom: false };
      const frame = slot.parentElement;
      if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
      await Plotly[redraw ? 'react' : 'newPlot'](slot, data, dressed(layout, slot.clientWidth, frame.clientWidth), config);
    }
  };
  await draw(false);
  document.documentElement.dataset.drawn = 'true';
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw(true));
})();
`;

/** Frames of foreign HTML run no scripts; they only get the height of what they show. */
const FRAMES = `
for (const frame of document.querySelectorAll('iframe')) {
  const fit = () => { frame.style.height = 0; frame.style.height = Math.min(900, frame.contentDocument.documentElement.scrollHeight + 4) + 'px'; };
  if (frame.contentDocument && frame.contentDocument.readyState === 'complete') fit();
  frame.addEventListener('load', fit);
}
`;
