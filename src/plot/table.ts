// Tables from danfo data frames or plain records, as HTML, text and CSV.
import { UsageError } from '../errors.js';

export type CellValue = string | number | boolean | null;

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly CellValue[])[];
}

/** What a danfo data frame shows of itself; named here so that danfo need not be loaded. */
export interface DataFrameLike {
  readonly columns: readonly (string | number)[];
  readonly values: unknown;
}

export type TableSource = DataFrameLike | readonly Readonly<Record<string, unknown>>[];

/** A table of a data frame, or of records (columns in the order in which they first appear). */
export function toTable(source: TableSource): Table {
  if (!isDataFrame(source)) {
    const columns = [...new Set(source.flatMap((record) => Object.keys(record)))];
    return { columns, rows: source.map((record) => columns.map((column) => cellValue(record[column]))) };
  }
  if (!Array.isArray(source.values) || !source.values.every(Array.isArray)) {
    throw new UsageError('A table needs a data frame whose values are rows, or an array of records.');
  }
  return {
    columns: source.columns.map(String),
    rows: (source.values as unknown[][]).map((row) => row.map(cellValue)),
  };
}

function isDataFrame(source: TableSource): source is DataFrameLike {
  return !Array.isArray(source) && 'columns' in source && 'values' in source;
}

function cellValue(value: unknown): CellValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return value instanceof Date ? value.toISOString() : JSON.stringify(value);
}

/** Numbers with at most five digits after the point that matter; thousands are grouped. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', '∞');
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return value.toExponential(3);
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const digits = size >= 1000 ? 1 : size >= 100 ? 2 : size >= 1 ? 3 : 4;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** A cell as text; nothing is `–`. */
export function formatCell(value: CellValue): string {
  if (value === null) return '–';
  return typeof value === 'number' ? formatNumber(value) : String(value);
}

/** An HTML table, everything escaped; columns of numbers are set right. */
export function tableHtml(table: Table, caption?: string): string {
  const numeric = table.columns.map((_, i) => isNumeric(table.rows.map((row) => row[i]!)));
  // both said: JupyterLab's own style sets every cell to the right
  const align = (i: number) => ` style="text-align:${numeric[i] ? 'right;font-variant-numeric:tabular-nums' : 'left'}"`;
  const head = table.columns.map((name, i) => `<th scope="col"${align(i)}>${escapeHtml(name)}</th>`).join('');
  const body = table.rows
    .map((row) => `<tr>${row.map((value, i) => `<td${align(i)}>${escapeHtml(formatCell(value))}</td>`).join('')}</tr>`)
    .join('\n');
  const title = caption ? `<caption style="text-align:left;white-space:nowrap">${escapeHtml(caption)}</caption>` : '';
  return `<table>${title}\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body}\n</tbody></table>`;
}

/** True for a column of numbers, or of texts that are numbers written for people. */
function isNumeric(values: readonly CellValue[]): boolean {
  const known = values.filter((value) => value !== null && value !== '');
  return (
    known.length > 0 && known.every((value) => typeof value === 'number' || /^[-+−]?[\d.,]+( ?%)?$/.test(String(value)))
  );
}

/** A table of aligned columns for terminals. */
export function tableText(table: Table): string {
  const lines = [table.columns, ...table.rows.map((row) => row.map(formatCell))];
  const widths = table.columns.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const right = table.columns.map((_, i) => isNumeric(table.rows.map((row) => row[i]!)));
  const pad = (text: string, i: number) => (right[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!));
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}

/** CSV (RFC 4180) with full precision. */
export function tableCsv(table: Table): string {
  const field = (value: CellValue) => {
    const text = value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [table.columns, ...table.rows].map((row) => `${row.map(field).join(',')}\n`).join('');
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
