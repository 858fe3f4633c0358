// Reads TypeScript literals (numbers, strings, booleans, null, arrays, objects) without running anything.
import { UsageError } from '../errors.js';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

const NUMBER = /[+-]?(?:0[xX][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/y;
const IDENTIFIER = /[A-Za-z_$][\w$]*/y;
const BLANK = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', 0: '\0' };

/** Walks over source text; every method reads from `at` and moves it on. */
export class LiteralReader {
  at = 0;
  constructor(
    readonly source: string,
    /** What is being read, for error messages. */
    private readonly what: string,
  ) {}

  /** Blanks and comments. */
  skipBlank(): void {
    this.match(BLANK);
  }

  /** The identifier here, or undefined. */
  identifier(): string | undefined {
    return this.match(IDENTIFIER);
  }

  /** Takes `token` when it stands here. */
  take(token: string): boolean {
    if (!this.source.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  /** The literal here. @throws UsageError where something else stands. */
  literal(): Json {
    this.skipBlank();
    const next = this.source[this.at];
    if (next === "'" || next === '"' || next === '`') return this.string();
    if (this.take('[')) return this.list(']', () => this.literal());
    if (this.take('{')) return Object.fromEntries(this.list('}', () => this.entry()));
    const number = this.match(NUMBER);
    if (number !== undefined) return this.number(number);
    const word = this.identifier();
    if (word === 'true' || word === 'false') return word === 'true';
    if (word === 'null') return null;
    throw this.error(`${word ? `'${word}'` : 'this'} is not a literal`);
  }

  error(problem: string): UsageError {
    const line = this.source.slice(0, this.at).split('\n').length;
    const seen = this.source.split('\n')[line - 1]!.trim();
    return new UsageError(`${this.what}, line ${line} ('${seen}'): ${problem}.`);
  }

  private number(text: string): number {
    const digits = text.replaceAll('_', '');
    const value = /^[+-]?0x/i.test(digits)
      ? Number(digits.replace(/^[+-]/, '')) * (digits.startsWith('-') ? -1 : 1)
      : Number(digits);
    if (!Number.isFinite(value)) throw this.error(`'${text}' is not a finite number`);
    return value;
  }

  private string(): string {
    const quote = this.source[this.at++]!;
    let value = '';
    for (;;) {
      const char = this.source[this.at++];
      if (char === undefined || (char === '\n' && quote !== '`')) throw this.error('a string is not closed');
      if (char === quote) return value;
      if (quote === '`' && char === '$' && this.source[this.at] === '{')
        throw this.error('a template with a placeholder is not a literal');
      value += char === '\\' ? this.escape() : char;
    }
  }

  private escape(): string {
    const char = this.source[this.at++] ?? '';
    const code = char === 'x' ? /[\da-fA-F]{2}/y : char === 'u' ? /[\da-fA-F]{4}|\{[\da-fA-F]+\}/y : undefined;
    if (!code) return char === '\n' ? '' : (ESCAPES[char] ?? char);
    const digits = this.match(code);
    if (digits === undefined) throw this.error(`\\${char} needs hexadecimal digits`);
    return String.fromCodePoint(Number.parseInt(digits.replace(/[{}]/g, ''), 16));
  }

  private entry(): [string, Json] {
    this.skipBlank();
    const quoted = /['"]/.test(this.source[this.at] ?? '');
    const key = quoted ? this.string() : (this.identifier() ?? this.match(NUMBER));
    this.skipBlank();
    if (key === undefined || !this.take(':')) throw this.error("an object needs 'key: value' here");
    return [key, this.literal()];
  }

  private list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    for (;;) {
      this.skipBlank();
      if (this.take(close)) return items;
      items.push(item());
      this.skipBlank();
      if (this.take(close)) return items;
      if (!this.take(',')) throw this.error(`',' or '${close}' is missing`);
    }
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }
}
