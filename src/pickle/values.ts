// What callers hand to the pickle machine, and the values it hands back that JavaScript has no type for.

/** What a permitted Python name does when the pickle uses it. */
export interface PickleHandler {
  /** What calling the object with these arguments gives (REDUCE, NEWOBJ). Without it, calling is refused. */
  call?(args: Tuple, keywords?: Map<unknown, unknown>): unknown;
  /** Takes the state of an object that `call` made (BUILD). Without it, setting a state is refused. */
  build?(instance: unknown, state: unknown): void;
}

export interface PickleOptions {
  /** The only names that may be resolved, as `module.name`. */
  globals: Readonly<Record<string, PickleHandler>>;
  /** Resolves a persistent id. Without it, persistent ids are refused. */
  persistentLoad?: (id: unknown) => unknown;
  /** How Python 2's strings are returned: as text (latin-1, the default) or as bytes. Dictionary keys are always text. */
  byteStrings?: 'text' | 'bytes';
  /** The most values the pickle may build. */
  maxValues?: number;
}

/** A Python tuple; a list is a plain array. */
export class Tuple extends Array<unknown> {
  static make(items: readonly unknown[]): Tuple {
    const tuple = new Tuple();
    for (const item of items) tuple.push(item);
    return tuple;
  }
}

/**
 * A value of a pickle as a word: text and numbers as they are, of anything else only its kind. Containers may share
 * others, so that a small file could spell one out without end.
 */
export function wordFor(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return value instanceof GlobalRef ? value.name : `(${value.constructor.name})`;
}

/** A permitted Python name, used as a value. */
export class GlobalRef {
  constructor(
    readonly name: string,
    readonly handler: PickleHandler,
  ) {}
}
