// The executed notebook as HTML: text, code (folded away) and outputs, in order.
import { escapeHtml } from '../plot/index.js';
import { PLOTLY_MIME } from './lab.js';
import { markdownHtml } from './markdown.js';
import type { Cell, Output } from './notebook.js';
import { shownText, textOf } from './outputText.js';
import { plotSlot } from './page.js';
import { durationText } from './progress.js';

const MAX_TEXT = 60_000;

/** What the cells need of the page around them. */
export interface CellContext {
  /** The kept figure or table of this name as a link to where it stands; undefined where it is not kept. */
  readonly linkTo: (kind: 'figure' | 'table', name: string) => string | undefined;
  /** Adds a figure to the page; returns its index. */
  readonly addFigure: (figure: unknown) => number;
}

/** All cells but those in `skip`. */
export function cellsHtml(cells: readonly Cell[], context: CellContext, skip?: Cell): string {
  let number = 0;
  return cells
    .map((cell) => {
      if (cell.cell_type === 'code' && cell.source.trim() !== '') number++;
      if (cell === skip || cell.source.trim() === '') return '';
      if (cell.cell_type === 'markdown')
        return `<div class="cell">${markdownHtml(cell.source, { headingOffset: 2 })}</div>`;
      return cell.cell_type === 'code' ? codeCell(cell, number, context) : '';
    })
    .join('\n');
}

function codeCell(cell: Cell, number: number, context: CellContext): string {
  const timing = cell.metadata['vitlab'] as { seconds?: number } | undefined;
  const seconds = timing?.seconds === undefined ? 'not run' : durationText(timing.seconds);
  const failed = cell.outputs?.some(({ output_type }) => output_type === 'error');
  const code = `<pre tabindex="0"><code>${escapeHtml(cell.source)}</code></pre>`;
  const outputs = (cell.outputs ?? []).map((output) => outputHtml(output, context)).join('\n');
  return `<div class="cell"><details${failed ? ' open' : ''}><summary>Cell ${number} · ${seconds}</summary>${code}</details>
${outputs}</div>`;
}

function outputHtml(output: Output, context: CellContext): string {
  if (output.output_type === 'stream') {
    return textHtml(output.text ?? '', output.name === 'stderr' ? 'stderr' : 'stdout');
  }
  if (output.output_type === 'error') {
    const { ename, evalue, traceback } = output as unknown as { ename: string; evalue: string; traceback?: string[] };
    return textHtml(traceback?.length ? traceback.join('\n') : `${ename}: ${evalue}`, 'error');
  }
  return bundleHtml(output.data ?? {}, output.metadata ?? {}, context);
}

/** The richest representation that can be shown. */
function bundleHtml(data: Record<string, unknown>, metadata: Record<string, unknown>, context: CellContext): string {
  const kept = metadata['vitlab'] as { figure?: string; table?: string } | undefined;
  const link =
    (kept?.figure !== undefined && context.linkTo('figure', kept.figure)) ||
    (kept?.table !== undefined && context.linkTo('table', kept.table));
  if (link) return `<p class="ref">→ ${link}</p>`;
  const plain = textOf(data['text/plain']);
  if (data[PLOTLY_MIME]) {
    const index = context.addFigure(data[PLOTLY_MIME]);
    return `<figure>${plotSlot(index, plain || 'A figure')}</figure>`;
  }
  const html = textOf(data['text/html']);
  if (html) {
    // The frame's sandbox runs no script anyway; without them the browser has nothing to complain about.
    const still = html.replace(/<script\b[\s\S]*?<\/script\s*>/gi, '');
    return `<iframe title="${escapeHtml(plain.slice(0, 80) || 'Output')}" sandbox="allow-same-origin" srcdoc="${escapeHtml(still)}"></iframe>`;
  }
  for (const mime of ['image/svg+xml', 'image/png', 'image/jpeg']) {
    const image = textOf(data[mime]);
    if (image) return imageHtml(mime, image, plain);
  }
  const markdown = textOf(data['text/markdown']);
  if (markdown) return markdownHtml(markdown, { headingOffset: 2 });
  return plain ? textHtml(plain, 'stdout') : '';
}

function imageHtml(mime: string, image: string, alt: string): string {
  const base64 = mime === 'image/svg+xml' ? Buffer.from(image).toString('base64') : image.replace(/\s+/g, '');
  return `<img alt="${escapeHtml(alt)}" src="data:${mime};base64,${escapeHtml(base64)}">`;
}

function textHtml(text: string, kind: 'stdout' | 'stderr' | 'error'): string {
  const shown = shownText(text);
  if (shown === '') return '';
  const label = kind === 'stdout' ? 'Output' : kind === 'stderr' ? 'Messages' : 'Error';
  return `<pre class="${kind}" tabindex="0" aria-label="${label}">${escapeHtml(shortened(shown))}</pre>`;
}

function shortened(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  const half = MAX_TEXT / 2;
  const left = text.length - MAX_TEXT;
  return `${text.slice(0, half)}\n… ${left} characters left out here; the notebook has them …\n${text.slice(-half)}`;
}
