// The texts of a cell's outputs, as a terminal would show them.
import { stripVTControlCharacters } from 'node:util';

/** Without terminal codes; what follows a carriage return replaces what stood before it in the line. */
export function shownText(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll('\r\n', '\n')
    .split('\n')
    .map((line) => line.split('\r').findLast((part) => part !== '') ?? '')
    .join('\n')
    .trimEnd();
}

/** A text of a mime bundle, which may come as a list of lines; empty where it is none. */
export function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join('');
  return typeof value === 'string' ? value : '';
}
