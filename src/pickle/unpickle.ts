// A restricted pickle machine, protocols 0 to 5 (CPython's pickletools.py is the reference for the opcodes). A pickle
// is a program that builds values on a stack; this machine builds plain data only. Names of Python objects resolve
// through the caller's table and nowhere else, and calling one runs the caller's handler. Memory is bounded by the size
// of the input: claimed lengths are checked against what is left, an opcode adds at most one small value, and what a
// handler builds counts by its size.
import { ByteString, NOT_LITERAL, parseWhole, readLiteral } from './literals.js';
import { ByteReader, decodeLatin1, PickleError } from './reader.js';
import { GlobalRef, type PickleHandler, type PickleOptions, Tuple } from './values.js';

/**
 * The value of a pickle. Dictionaries are `Map`s, sets are `Set`s, tuples are `Tuple`s, bytes are `Uint8Array` views of
 * the input, integers are numbers, or bigints where a number would lose digits.
 *
 * @throws PickleError if the pickle is damaged, names an object that is not in `globals`, or grows too large.
 */
export function unpickle(bytes: Uint8Array, options: PickleOptions): unknown {
  return readPickle(bytes, 0, options).value;
}

/** The pickle that starts at byte `start`, and the position after it: for files that hold several in a row. */
export function readPickle(bytes: Uint8Array, start: number, options: PickleOptions): { value: unknown; end: number } {
  const machine = new Machine(new ByteReader(bytes, start), options);
  return { value: machine.run(), end: machine.position };
}

const MAX_PROTOCOL = 5;
const BYTES_A_VALUE = 64;

/** How many values something that a handler made stands for: a copy of a large one could be asked for again and again. */
function sizeOf(made: unknown): number {
  if (made instanceof Map || made instanceof Set) return made.size;
  if (Array.isArray(made)) return made.length;
  return made instanceof Uint8Array || typeof made === 'string' ? made.length / BYTES_A_VALUE : 0;
}

class Machine {
  private stack: unknown[] = [];
  private readonly marks: unknown[][] = [];
  private readonly memo = new Map<number, unknown>();
  private readonly makers = new WeakMap<object, GlobalRef>();
  private readonly globals: Map<string, PickleHandler>;
  private built = 0;

  constructor(
    private readonly reader: ByteReader,
    private readonly options: PickleOptions,
  ) {
    this.globals = new Map(Object.entries(options.globals));
  }

  get position(): number {
    return this.reader.position;
  }

  run(): unknown {
    const limit = this.options.maxValues ?? 2_000_000;
    for (;;) {
      const opcode = this.reader.uint8();
      if (opcode === 0x2e) return this.pop();
      if (++this.built > limit) this.fail(`it builds more than ${limit} values`);
      const literal = readLiteral(opcode, this.reader);
      if (literal === NOT_LITERAL) this.step(opcode);
      else this.push(literal instanceof ByteString ? this.byteString(literal.bytes) : literal);
    }
  }

  private fail(what: string): never {
    throw new PickleError(`The pickle cannot be read at byte ${this.reader.position}: ${what}.`);
  }

  private push(value: unknown): void {
    this.stack.push(value);
  }

  private pop(): unknown {
    if (this.stack.length === 0) this.fail('it takes a value from an empty stack');
    return this.stack.pop();
  }

  private top(): unknown {
    if (this.stack.length === 0) this.fail('it looks at an empty stack');
    return this.stack[this.stack.length - 1];
  }

  /** The values since the last mark. */
  private popMark(): unknown[] {
    const outer = this.marks.pop();
    if (outer === undefined) this.fail('it closes a group that was never opened');
    const items = this.stack;
    this.stack = outer;
    return items;
  }

  private popTuple(length: number): void {
    if (this.stack.length < length) this.fail(`it makes a tuple of ${length} from ${this.stack.length} values`);
    this.push(Tuple.make(this.stack.splice(this.stack.length - length)));
  }

  private step(opcode: number): void {
    const { reader } = this;
    switch (opcode) {
      case 0x80: {
        // PROTO
        const protocol = reader.uint8();
        if (protocol > MAX_PROTOCOL) this.fail(`it is of protocol ${protocol}; 0 to ${MAX_PROTOCOL} are known`);
        return;
      }
      case 0x95: {
        // FRAME
        const length = reader.length64();
        if (length > reader.remaining) this.fail(`a frame of ${length} bytes passes the end of the file`);
        return;
      }
      case 0x28: // MARK
        this.marks.push(this.stack);
        this.stack = [];
        return;
      case 0x30: // POP, which also drops a mark with nothing after it
        if (this.stack.length === 0 && this.marks.length > 0) this.popMark();
        else this.pop();
        return;
      case 0x31: // POP_MARK
        this.popMark();
        return;
      case 0x32: // DUP
        this.push(this.top());
        return;

      case 0x5d: // EMPTY_LIST
        this.push([]);
        return;
      case 0x6c: // LIST
        this.push(this.popMark());
        return;
      case 0x61: {
        // APPEND
        const item = this.pop();
        this.list().push(item);
        return;
      }
      case 0x65: {
        // APPENDS
        const items = this.popMark();
        const list = this.list();
        for (const item of items) list.push(item);
        return;
      }
      case 0x29: // EMPTY_TUPLE
        this.push(Tuple.make([]));
        return;
      case 0x74: // TUPLE
        this.push(Tuple.make(this.popMark()));
        return;
      case 0x85: // TUPLE1
        this.popTuple(1);
        return;
      case 0x86: // TUPLE2
        this.popTuple(2);
        return;
      case 0x87: // TUPLE3
        this.popTuple(3);
        return;
      case 0x7d: // EMPTY_DICT
        this.push(new Map());
        return;
      case 0x64: // DICT
        this.push(this.setItems(new Map(), this.popMark()));
        return;
      case 0x73: {
        // SETITEM
        const value = this.pop();
        const key = this.pop();
        this.setItems(this.dictionary(), [key, value]);
        return;
      }
      case 0x75: {
        // SETITEMS
        const items = this.popMark();
        this.setItems(this.dictionary(), items);
        return;
      }
      case 0x8f: // EMPTY_SET
        this.push(new Set());
        return;
      case 0x90: {
        // ADDITEMS
        const items = this.popMark();
        const set = this.top();
        if (!(set instanceof Set)) this.fail('it adds members to something that is no set');
        for (const item of items) set.add(item);
        return;
      }
      case 0x91: // FROZENSET
        this.push(new Set(this.popMark()));
        return;

      case 0x70: // PUT
        this.remember(parseWhole(reader.shortLine(32)));
        return;
      case 0x71: // BINPUT
        this.remember(reader.uint8());
        return;
      case 0x72: // LONG_BINPUT
        this.remember(reader.uint32());
        return;
      case 0x94: // MEMOIZE
        this.remember(this.memo.size);
        return;
      case 0x67: // GET
        this.recall(parseWhole(reader.shortLine(32)));
        return;
      case 0x68: // BINGET
        this.recall(reader.uint8());
        return;
      case 0x6a: // LONG_BINGET
        this.recall(reader.uint32());
        return;

      case 0x63: // GLOBAL
        this.push(this.resolve(reader.shortLine(), reader.shortLine()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        const module = this.pop();
        this.push(this.resolve(module, name));
        return;
      }
      case 0x69: {
        // INST
        const maker = this.resolve(reader.shortLine(), reader.shortLine());
        this.call(maker, Tuple.make(this.popMark()));
        return;
      }
      case 0x6f: {
        // OBJ
        const [maker, ...args] = this.popMark();
        this.call(maker, Tuple.make(args));
        return;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const args = this.pop();
        this.call(this.pop(), args);
        return;
      }
      case 0x92: {
        // NEWOBJ_EX
        const keywords = this.pop();
        const args = this.pop();
        if (!(keywords instanceof Map)) this.fail('keyword arguments are no dictionary');
        this.call(this.pop(), args, keywords);
        return;
      }
      case 0x62: {
        // BUILD
        const state = this.pop();
        this.build(this.top(), state);
        return;
      }
      case 0x50: // PERSID
        this.persistent(reader.shortLine());
        return;
      case 0x51: // BINPERSID
        this.persistent(this.pop());
        return;
      default:
        this.fail(`opcode 0x${opcode.toString(16).padStart(2, '0')} is unknown or not allowed`);
    }
  }

  private list(): unknown[] {
    const list = this.top();
    if (!Array.isArray(list) || list instanceof Tuple) this.fail('it appends to something that is no list');
    return list;
  }

  private dictionary(): Map<unknown, unknown> {
    const dictionary = this.top();
    if (!(dictionary instanceof Map)) this.fail('it sets an item of something that is no dictionary');
    return dictionary;
  }

  private setItems(dictionary: Map<unknown, unknown>, items: unknown[]): Map<unknown, unknown> {
    if (items.length % 2 !== 0) this.fail('a dictionary has a key without a value');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      dictionary.set(key instanceof Uint8Array ? decodeLatin1(key) : key, items[i + 1]);
    }
    return dictionary;
  }

  private remember(slot: number | bigint): void {
    if (typeof slot === 'bigint' || slot < 0) this.fail(`memo slot ${slot} is not a slot`);
    this.memo.set(slot, this.top());
  }

  private recall(slot: number | bigint): void {
    if (typeof slot === 'bigint' || !this.memo.has(slot)) this.fail(`memo slot ${slot} was never filled`);
    this.push(this.memo.get(slot));
  }

  private resolve(module: unknown, name: unknown): GlobalRef {
    if (typeof module !== 'string' || typeof name !== 'string') this.fail('the name of a Python object is no text');
    const full = `${module}.${name}`;
    const handler = this.globals.get(full);
    if (!handler) {
      const known = [...this.globals.keys()];
      throw new PickleError(
        `The pickle asks for the Python object ${JSON.stringify(full)}, which is not allowed; nothing was run. ` +
          (known.length > 0 ? `Allowed are ${known.join(', ')}.` : 'No Python object is allowed here.'),
      );
    }
    return new GlobalRef(full, handler);
  }

  private call(maker: unknown, args: unknown, keywords?: Map<unknown, unknown>): void {
    if (!(maker instanceof GlobalRef)) this.fail('it calls something that is no Python object');
    if (!(args instanceof Tuple)) this.fail(`the arguments of ${maker.name} are no tuple`);
    if (!maker.handler.call) this.fail(`it calls ${maker.name}, which may be named but not called`);
    const made = maker.handler.call(args, keywords);
    if (typeof made === 'object' && made !== null) this.makers.set(made, maker);
    this.built += sizeOf(made);
    this.push(made);
  }

  private build(instance: unknown, state: unknown): void {
    const maker = typeof instance === 'object' && instance !== null ? this.makers.get(instance) : undefined;
    if (!maker?.handler.build) this.fail(`it sets the state of ${maker ? maker.name : 'a plain value'}`);
    maker.handler.build(instance, state);
  }

  private persistent(id: unknown): void {
    if (!this.options.persistentLoad) this.fail('it refers to data outside the pickle');
    this.push(this.options.persistentLoad(id));
  }
  private byteString(bytes: Uint8Array): string | Uint8Array {
    return this.options.byteStrings === 'bytes' ? bytes : decodeLatin1(bytes);
  }
}
