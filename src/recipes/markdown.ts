// The Markdown that notebooks use (a subset of CommonMark with GFM's tables), as HTML, with formulas as MathML; whatever else
// stays text.
import { escapeHtml } from '../plot/index.js';
import { mathHtml } from './math.js';

const FENCE = /^ {0,3}(```+|~~~+)\s*(\S*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])\s*(\1\s*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

export interface MarkdownOptions {
  /** Added to the level of each heading, so that a page keeps its outline. */
  readonly headingOffset?: number;
}

/** Markdown as HTML; all text is escaped, raw HTML too. */
export function markdownHtml(source: string, options: MarkdownOptions = {}): string {
  return blocks(source.replaceAll('\r\n', '\n').split('\n'), options.headingOffset ?? 0);
}

function blocks(lines: readonly string[], offset: number): string {
  const html: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at]!;
    if (line.trim() === '') {
      at++;
      continue;
    }
    const [block, next] = blockAt(lines, at, offset);
    html.push(block);
    at = next;
  }
  return html.join('\n');
}

/** The block that begins at a line, and where the next one begins. */
function blockAt(lines: readonly string[], at: number, offset: number): [string, number] {
  const line = lines[at]!;
  const fence = FENCE.exec(line);
  if (fence) return codeBlock(lines, at, fence[1]!);
  const heading = HEADING.exec(line);
  if (heading) {
    const level = Math.min(6, heading[1]!.length + offset);
    return [`<h${level}>${inline(heading[2]!)}</h${level}>`, at + 1];
  }
  if (RULE.test(line)) return ['<hr>', at + 1];
  if (QUOTE.test(line)) {
    const end = endOf(lines, at, (other) => QUOTE.test(other));
    const inner = lines.slice(at, end).map((other) => other.replace(QUOTE, ''));
    return [`<blockquote>${blocks(inner, offset)}</blockquote>`, end];
  }
  if (ITEM.test(line)) return list(lines, at, offset);
  if (line.includes('|') && TABLE_RULE.test(lines[at + 1] ?? '')) return table(lines, at);
  const end = endOf(lines, at + 1, (other) => !startsBlock(other)) || at + 1;
  return [`<p>${inline(lines.slice(at, end).join('\n').trim())}</p>`, end];
}

function startsBlock(line: string): boolean {
  return line.trim() === '' || [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

function endOf(lines: readonly string[], from: number, belongs: (line: string) => boolean): number {
  let end = from;
  while (end < lines.length && belongs(lines[end]!)) end++;
  return end;
}

function codeBlock(lines: readonly string[], at: number, fence: string): [string, number] {
  const end = endOf(lines, at + 1, (line) => !line.trim().startsWith(fence));
  return [`<pre><code>${escapeHtml(lines.slice(at + 1, end).join('\n'))}</code></pre>`, end + 1];
}

/** A list; lines indented below an item belong to it. */
function list(lines: readonly string[], at: number, offset: number): [string, number] {
  const [, indent = '', first = ''] = ITEM.exec(lines[at]!)!;
  const ordered = /\d/.test(first);
  const items: string[][] = [];
  let end = at;
  for (; end < lines.length; end++) {
    const line = lines[end]!;
    const item = ITEM.exec(line);
    if (item && item[1]!.length <= indent.length) {
      if (/\d/.test(item[2]!) !== ordered) break;
      items.push([item[3]!]);
    } else if (line.trim() === '' ? /^\s/.test(lines[end + 1] ?? '') : /^\s/.test(line) || !startsBlock(line)) {
      items.at(-1)!.push(line.replace(new RegExp(`^\\s{0,${indent.length + first.length + 1}}`), ''));
    } else break;
  }
  const start = ordered && Number.parseInt(first, 10) !== 1 ? ` start="${Number.parseInt(first, 10)}"` : '';
  const body = items.map((item) => `<li>${tight(blocks(item, offset))}</li>`).join('\n');
  return [ordered ? `<ol${start}>${body}</ol>` : `<ul>${body}</ul>`, end];
}

/** An item of one paragraph needs none. */
function tight(html: string): string {
  const [whole, inner] = /^<p>([\s\S]*?)<\/p>/.exec(html) ?? [];
  return whole === undefined ? html : `${inner}${html.slice(whole.length)}`;
}

function table(lines: readonly string[], at: number): [string, number] {
  const end = endOf(lines, at + 2, (line) => line.includes('|') && line.trim() !== '');
  const cells = (line: string) =>
    line
      .trim()
      .replace(/^\|/, '')
      .replace(/\|$/, '')
      .split(/(?<!\\)\|/)
      .map((cell) => inline(cell.trim().replaceAll('\\|', '|')));
  const aligns = cells(lines[at + 1]!).map((rule) => (rule.endsWith(':') ? ' style="text-align:right"' : ''));
  const row = (line: string, tag: string) =>
    `<tr>${cells(line)
      .map((cell, i) => `<${tag}${aligns[i] ?? ''}>${cell}</${tag.split(' ')[0]}>`)
      .join('')}</tr>`;
  const body = lines.slice(at + 2, end).map((line) => row(line, 'td'));
  return [
    `<div class="scroll" tabindex="0"><table><thead>${row(lines[at]!, 'th scope="col"')}</thead><tbody>${body.join('')}</tbody></table></div>`,
    end,
  ];
}

const INLINE =
  /(?<code>`+)(?<codeText>.+?)\k<code>(?!`)|(?<image>!?)\[(?<label>[^\]]*)\]\((?<url>[^()\s]*)[^)]*\)|\$\$(?<display>.+?)\$\$|\$(?<math>[^\s$`](?:[^$`]*[^\s$`\\])?)\$(?!\d)|<(?<auto>https?:\/\/[^\s<>]+)>|\*\*(?<bold>\S(?:.*?\S)?)\*\*(?!\*)|(?<![\w*])\*(?<star>[^\s*](?:[^*]*[^\s*])?)\*(?!\*)|(?<!\w)_(?<under>[^\s_](?:[^_]*[^\s_])?)_(?!\w)|\\(?<escaped>[!-/:-@[-`{-~])|(?<break> {2,}\n|\\\n)/s;

function inline(text: string): string {
  const found = INLINE.exec(text);
  if (!found) return escapeHtml(text);
  const groups = found.groups!;
  const { codeText, label, url, display, math, auto, bold, star, under, escaped } = groups;
  let html = '<br>';
  if (codeText !== undefined) html = `<code>${escapeHtml(codeText.trim())}</code>`;
  else if (label !== undefined) html = groups['image'] ? escapeHtml(label) : link(url ?? '', inline(label));
  else if (display !== undefined) html = mathHtml(display, true);
  else if (math !== undefined) html = mathHtml(math, false);
  else if (auto !== undefined) html = link(auto, escapeHtml(auto));
  else if (bold !== undefined) html = `<strong>${inline(bold)}</strong>`;
  else if (star !== undefined || under !== undefined) html = `<em>${inline((star ?? under)!)}</em>`;
  else if (escaped !== undefined) html = escapeHtml(escaped);
  return escapeHtml(text.slice(0, found.index)) + html + inline(text.slice(found.index + found[0].length));
}

/** Only the web is linked to: a report lies elsewhere than its notebook, so relative links would lead nowhere. */
function link(url: string, html: string): string {
  return /^https?:\/\//.test(url) ? `<a href="${escapeHtml(url)}" rel="noreferrer">${html}</a>` : html;
}
