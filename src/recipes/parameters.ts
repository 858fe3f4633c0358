// Parameters of a notebook: declared in the cell tagged `parameters`, overridden in a cell tagged
// `injected-parameters` after it (papermill's convention).
import { nearest, UsageError } from '../errors.js';
import { type Json, LiteralReader } from './literal.js';
import { type Cell, hasTag, type Notebook } from './notebook.js';

export type { Json };
export type ParameterType = 'number' | 'string' | 'boolean' | 'array' | 'object' | 'null';
export type Parameters = Readonly<Record<string, Json>>;

/**
 * A parameter that is one of a few words, typed as such: `oneOf('precision', precision, ['fp32', 'bf16'])`.
 * @throws UsageError for another word, with the nearest
 */
export function oneOf<const Word extends string>(name: string, value: string, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === value);
  if (word !== undefined) return word;
  const guess = nearest(value, words);
  throw new UsageError(
    `${name} is '${value}', but must be one of ${words.join(', ')}.${guess ? ` Did you mean ${guess}?` : ''}`,
  );
}

export interface Parameter {
  readonly name: string;
  readonly type: ParameterType;
  readonly default: Json;
}

/** What -p, --params and a profile ask for. Texts of `-p` are read by the type of their parameter. */
export interface Overrides {
  readonly profile?: Parameters;
  readonly file?: Parameters;
  readonly texts?: Readonly<Record<string, string>>;
}

/**
 * The parameters that a notebook declares as `let name = literal;`; empty where no cell is tagged `parameters`.
 * @throws UsageError where that cell holds anything else, or two cells carry the tag.
 */
export function declaredParameters(notebook: Notebook, file: string): readonly Parameter[] {
  const cells = notebook.cells.filter((cell) => hasTag(cell, 'parameters'));
  if (cells.length > 1) throw new UsageError(`${file} has ${cells.length} cells tagged 'parameters': one is allowed.`);
  const reader = new LiteralReader(cells[0]?.source ?? '', `The parameters cell of ${file}`);
  const parameters: Parameter[] = [];
  for (;;) {
    reader.skipBlank();
    if (reader.at === reader.source.length) return parameters;
    const parameter = declaration(reader);
    if (parameters.some(({ name }) => name === parameter.name)) {
      throw reader.error(`'${parameter.name}' is declared twice`);
    }
    parameters.push(parameter);
  }
}

function declaration(reader: LiteralReader): Parameter {
  if (reader.identifier() !== 'let') throw reader.error("expected 'let name = literal;'");
  reader.skipBlank();
  const name = reader.identifier();
  if (name === undefined) throw reader.error("a name is missing after 'let'");
  skipTypeAnnotation(reader);
  if (!reader.take('=')) throw reader.error(`'${name}' has no default value`);
  const value = reader.literal();
  const end = reader.at;
  reader.skipBlank();
  const onNewLine = reader.source.slice(end, reader.at).includes('\n') || reader.at === reader.source.length;
  if (!reader.take(';') && !onNewLine) throw reader.error(`the value of '${name}' is not a literal`);
  return { name, type: typeOf(value), default: value };
}

function skipTypeAnnotation(reader: LiteralReader): void {
  reader.skipBlank();
  if (!reader.take(':')) return;
  const end = reader.source.indexOf('=', reader.at);
  reader.at = end < 0 ? reader.source.length : end;
}

/**
 * The value of every parameter: its default, overridden by the profile, then the file, then `-p`.
 * @throws UsageError for an unknown parameter or a value of another type.
 */
export function resolveParameters(declared: readonly Parameter[], overrides: Overrides, file: string): Parameters {
  const values: Record<string, Json> = Object.fromEntries(declared.map(({ name, default: value }) => [name, value]));
  const find = (name: string, origin: string): Parameter => {
    const parameter = declared.find((candidate) => candidate.name === name);
    if (parameter) return parameter;
    const names = declared.map((candidate) => candidate.name);
    const guess = nearest(name, names);
    throw new UsageError(
      `${file} has no parameter '${name}' (named in ${origin}). ${guess ? `Did you mean '${guess}'? ` : ''}` +
        (names.length ? `Its parameters are ${names.join(', ')}.` : "It has no cell tagged 'parameters'."),
    );
  };
  const setAll = (given: Parameters | undefined, origin: string) => {
    for (const [name, value] of Object.entries(given ?? {})) {
      values[name] = checked(find(name, origin), value, origin);
    }
  };
  setAll(overrides.profile, 'the profile');
  setAll(overrides.file, '--params');
  for (const [name, text] of Object.entries(overrides.texts ?? {})) {
    const parameter = find(name, '-p');
    values[name] = checked(parameter, fromText(parameter, text), '-p');
  }
  return values;
}

function fromText({ name, type }: Parameter, text: string): Json {
  if (type === 'string') return text;
  const reader = new LiteralReader(text, `-p ${name}`);
  try {
    const value = reader.literal();
    reader.skipBlank();
    if (reader.at === text.length) return value;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
  // A parameter whose default is null takes any text.
  if (type === 'null') return text;
  throw wrongType(name, type, `'${text}'`, '-p');
}

function checked({ name, type, default: example }: Parameter, value: Json, origin: string): Json {
  if (type !== 'null' && typeOf(value) !== type) throw wrongType(name, type, JSON.stringify(value), origin);
  if (Array.isArray(example) && Array.isArray(value) && example.length > 0) {
    const items = new Set(example.map(typeOf));
    const stranger = value.find((item) => !items.has(typeOf(item)));
    if (stranger !== undefined) {
      throw wrongType(name, `array of ${[...items].join(' or ')}`, JSON.stringify(value), origin);
    }
  }
  return value;
}

function wrongType(name: string, type: string, seen: string, origin: string): UsageError {
  return new UsageError(`Parameter '${name}' must be of type ${type}, like its default, but ${origin} gives ${seen}.`);
}

function typeOf(value: Json): ParameterType {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : (typeof value as ParameterType);
}

/** A copy of the notebook with `values` assigned in a cell right after the parameters; none where nothing differs. */
export function injectParameters(notebook: Notebook, declared: readonly Parameter[], values: Parameters): Notebook {
  const cells = notebook.cells.filter((cell) => !hasTag(cell, 'injected-parameters'));
  const changed = declared.filter(({ name, default: value }) => JSON.stringify(values[name]) !== JSON.stringify(value));
  if (changed.length === 0) return { ...notebook, cells };
  const cell: Cell = {
    cell_type: 'code',
    ...(cells.some(({ id }) => id !== undefined) && { id: 'injected-parameters' }),
    metadata: { tags: ['injected-parameters'] },
    execution_count: null,
    outputs: [],
    source: ['// Parameters', ...changed.map(({ name }) => `${name} = ${JSON.stringify(values[name])};`)].join('\n'),
  };
  const place = cells.findIndex((candidate) => hasTag(candidate, 'parameters')) + 1;
  return { ...notebook, cells: [...cells.slice(0, place), cell, ...cells.slice(place)] };
}

/** Reads `name=value` words. @throws UsageError for a word without `=`. */
export function parseAssignments(words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at < 1) throw new UsageError(`-p takes name=value, but got '${word}'.`);
      return [word.slice(0, at).trim(), word.slice(at + 1)];
    }),
  );
}
