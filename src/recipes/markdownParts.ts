// Markdown as it is written: tables, text that means nothing to Markdown, fenced blocks.

/** A table; `right` says which columns are set right. */
export function markdownTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[] = [],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = columns.map((_, i) => (right[i] ? '---:' : '---'));
  return [line(columns), line(rule), ...rows.map(line)].join('\n');
}

/** Text that stays in its table cell, and is no HTML; Markdown in it counts. */
export function cellText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('|', '\\|')
    .replace(/\s*\n\s*/g, ' ');
}

/** Text of one line that is shown letter by letter, in a table cell too. */
export function literalText(text: string): string {
  return cellText(text.replace(/[\\`*_$~]/g, '\\$&').replaceAll('](', ']\\('));
}

/** A fence that is longer than any in the text. */
export function codeBlock(text: string, language = 'text'): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text.trimEnd()}\n${fence}`;
}
