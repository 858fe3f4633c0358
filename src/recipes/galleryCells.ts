// An executed notebook as Markdown that GitHub shows: text, code folded where it is long, outputs in order, and the
// pictures that are to be drawn for it.
import { VitlabError } from '../errors.js';
import { type Figure, formatCell, type Table } from '../plot/index.js';
import { PLOTLY_MIME } from './lab.js';
import { codeBlock, literalText, markdownTable } from './markdownParts.js';
import { type Cell, hasTag, type Output } from './notebook.js';
import { shownText, textOf } from './outputText.js';
import { durationText } from './progress.js';
import { FILES, readJson } from './runFolder.js';

/** Code of more lines is folded. */
const OPEN_LINES = 12;
/** Longer outputs and tables keep so much of their beginning and of their end. */
const KEPT = { lines: { first: 24, last: 8 }, rows: { first: 24, last: 8 } } as const;
const IMAGES = ['image/svg+xml', 'image/png', 'image/jpeg'] as const;

/** A picture of the page: a plotly figure, or the bytes of an image. */
export type Picture = { readonly figure: Figure } | { readonly image: Buffer };

export interface CellsContext {
  /** The run folder, which holds the tables. */
  readonly runDir: string;
  /** The captions of its tables by name. */
  readonly captions: ReadonlyMap<string, string>;
  /** Where the pictures are, as the page links them. */
  readonly folder: string;
  /** Makes a link of the notebook one of the page. */
  readonly relink: (target: string) => string;
}

export interface Pictured {
  readonly markdown: string;
  /** By name; the file is `<name>.png`. The last figure of a name counts, as in the run folder. */
  readonly pictures: ReadonlyMap<string, Picture>;
}

/** What a cell shows: text is set in one block with the text before it. */
type Block = { readonly text: string } | { readonly markdown: string };

/** @throws VitlabError where a table of the run folder is missing or damaged */
export function galleryCells(cells: readonly Cell[], context: CellsContext): Pictured {
  const pictures = new Map<string, Picture>();
  const counts = { cell: 0, figure: 0, table: 0 };

  const pictureBlock = (name: string, picture: Picture, alt: string): Block => {
    pictures.set(name, picture);
    const words = literalText(withoutPaths(alt));
    return {
      markdown: `![${words.replace(/[[\]]/g, '\\$&')}](${context.folder}/${name}.png)\n\n**Figure ${++counts.figure}.** ${words}`,
    };
  };

  const tableBlock = (name: string): Block => {
    const table = readJson(context.runDir, FILES.tables, `${name}.json`) as Table | undefined;
    if (!table) throw new VitlabError(`${context.runDir} is damaged: ${FILES.tables}/${name}.json is missing.`);
    return {
      markdown: `**Table ${++counts.table}.** ${literalText(withoutPaths(context.captions.get(name) || name))}\n\n${shortTableMarkdown(table)}`,
    };
  };

  const outputBlock = (output: Output): Block => {
    if (output.output_type === 'stream') return { text: output.text ?? '' };
    if (output.output_type === 'error') return { text: `${String(output['ename'])}: ${String(output['evalue'])}` };
    const { data = {}, metadata = {} } = output;
    const kept = metadata['vitlab'] as { figure?: string; table?: string } | undefined;
    if (kept?.table !== undefined) return tableBlock(kept.table);
    const plain = textOf(data['text/plain']);
    const name = kept?.figure ?? `cell-${counts.cell}-${pictures.size + 1}`;
    const figure = data[PLOTLY_MIME] as Figure | undefined;
    if (figure) return pictureBlock(name, { figure }, plain || 'A figure');
    const mime = IMAGES.find((type) => textOf(data[type]) !== '');
    if (mime) return pictureBlock(name, { image: imageBytes(mime, textOf(data[mime])) }, plain || 'An image');
    const markdown = textOf(data['text/markdown']);
    return markdown ? { markdown: withoutPaths(relinked(markdown, context.relink)) } : { text: plain };
  };

  const cellMarkdown = (cell: Cell): string => {
    if (cell.source.trim() === '') return '';
    if (cell.cell_type === 'markdown') return relinked(cell.source.trim(), context.relink);
    if (cell.cell_type !== 'code') return '';
    counts.cell++;
    // An assignment shows its value, which says nothing here.
    const outputs = hasTag(cell, 'injected-parameters') ? [] : (cell.outputs ?? []);
    return [codeMarkdown(cell, counts.cell), ...joined(outputs.map(outputBlock))].join('\n\n');
  };

  const markdown = cells.map(cellMarkdown).filter(Boolean).join('\n\n');
  return { markdown, pictures };
}

/** Links of Markdown, changed; code stays. Links elsewhere (`https:`) and within the page (`#`) stay too. */
export function relinked(markdown: string, relink: (target: string) => string): string {
  const parts = /^(`{3,}|~{3,})[\s\S]*?^\1|`[^`\n]*`|\]\(([^()\s]+)\)/gm;
  return markdown.replace(parts, (part, _fence, target?: string) =>
    target === undefined || /^([a-z]+:|#)/i.test(target) ? part : `](${relink(target)})`,
  );
}

/** Absolute paths, which say something only on the machine of the run, cut to their last name. */
export function withoutPaths(text: string): string {
  return text.replace(/(?<![\w./])\/(?:[\w.+@-]+\/)+([\w.+@-]+)/g, '…/$1');
}

/** Markdown that opens with a click. */
export function folded(summary: string, markdown: string, open = false): string {
  return `<details${open ? ' open' : ''}><summary>${summary}</summary>\n\n${markdown}\n\n</details>`;
}

/** A table as Markdown. */
export function tableMarkdown({ columns, rows }: Table): string {
  const cells = rows.map((row) => row.map((value) => literalText(withoutPaths(formatCell(value)))));
  const isNumber = (i: number) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number' || row[i] === null);
  return markdownTable(
    columns.map(literalText),
    cells,
    columns.map((_, i) => isNumber(i)),
  );
}

/** The first and last rows of a long table, and below it how many are left out. */
export function shortTableMarkdown({ columns, rows }: Table): string {
  const { first, last } = KEPT.rows;
  const left = rows.length - first - last;
  if (left <= 1) return tableMarkdown({ columns, rows });
  const shown = [...rows.slice(0, first), ...rows.slice(-last)];
  return `${tableMarkdown({ columns, rows: shown })}\n\n${left} rows are left out here, after row ${first}.`;
}

function codeMarkdown(cell: Cell, number: number): string {
  const seconds = (cell.metadata['vitlab'] as { seconds?: number } | undefined)?.seconds;
  const source = hasTag(cell, 'injected-parameters') ? withoutPaths(cell.source) : cell.source;
  const open = source.split('\n').length <= OPEN_LINES;
  const time = seconds === undefined ? 'not run' : durationText(seconds);
  return folded(`Code ${number} · ${time}`, codeBlock(source, 'ts'), open);
}

/** Blocks as Markdown; texts that follow each other become one. */
function joined(blocks: readonly Block[]): string[] {
  const parts: string[] = [];
  let texts: string[] = [];
  const flush = () => {
    const text = shortened(texts.map(shownText).filter(Boolean).join('\n'));
    if (text) parts.push(codeBlock(withoutPaths(text)));
    texts = [];
  };
  for (const block of blocks) {
    if ('text' in block) {
      texts.push(block.text);
    } else {
      flush();
      parts.push(block.markdown);
    }
  }
  flush();
  return parts;
}

function shortened(text: string): string {
  const lines = text.split('\n');
  const { first, last } = KEPT.lines;
  const left = lines.length - first - last;
  if (left <= 1) return text;
  return [...lines.slice(0, first), `… ${left} lines left out here …`, ...lines.slice(-last)].join('\n');
}

function imageBytes(mime: string, image: string): Buffer {
  return mime === 'image/svg+xml' ? Buffer.from(image) : Buffer.from(image, 'base64');
}
