// The opcodes of a pickle that stand for a value by themselves: numbers, text, bytes, None, True, False.
import { type ByteReader, decodeLatin1, PickleError } from './reader.js';

const MAX_NUMBER_BYTES = 1024;

/** What `readLiteral` answers when the opcode is no literal. */
export const NOT_LITERAL = Symbol('not a literal');

/** The value that literal `opcode` stands for, read from behind it; Python 2's strings come as bytes. */
export function readLiteral(opcode: number, reader: ByteReader): unknown {
  switch (opcode) {
    case 0x4e: // NONE
      return null;
    case 0x88: // NEWTRUE
      return true;
    case 0x89: // NEWFALSE
      return false;
    case 0x49: // INT, which also spells booleans
      return intLine(reader);
    case 0x4c: // LONG
      return parseWhole(reader.shortLine(MAX_NUMBER_BYTES).replace(/L$/, ''));
    case 0x4a: // BININT
      return reader.int32();
    case 0x4b: // BININT1
      return reader.uint8();
    case 0x4d: // BININT2
      return reader.uint16();
    case 0x8a: // LONG1
      return long(reader, reader.uint8());
    case 0x8b: // LONG4
      return long(reader, reader.uint32());
    case 0x46: // FLOAT
      return floatLine(reader);
    case 0x47: // BINFLOAT
      return reader.float64();
    case 0x53: // STRING, a quoted line
      return new ByteString(quotedLine(reader));
    case 0x54: // BINSTRING
      return new ByteString(reader.take(reader.uint32()));
    case 0x55: // SHORT_BINSTRING
      return new ByteString(reader.take(reader.uint8()));
    case 0x56: // UNICODE
      return unicodeLine(reader);
    case 0x58: // BINUNICODE
      return reader.text(reader.uint32());
    case 0x8c: // SHORT_BINUNICODE
      return reader.text(reader.uint8());
    case 0x8d: // BINUNICODE8
      return reader.text(reader.length64());
    case 0x42: // BINBYTES
      return reader.take(reader.uint32());
    case 0x43: // SHORT_BINBYTES
      return reader.take(reader.uint8());
    case 0x8e: // BINBYTES8
    case 0x96: // BYTEARRAY8
      return reader.take(reader.length64());
    default:
      return NOT_LITERAL;
  }
}

/** A string of Python 2, whose encoding the pickle does not say. */
export class ByteString {
  constructor(readonly bytes: Uint8Array) {}
}

/** A decimal whole number: a number where it is exact, else a bigint. */
export function parseWhole(text: string): number | bigint {
  if (!/^[+-]?\d+$/.test(text)) throw new PickleError(`${JSON.stringify(text.slice(0, 40))} is no whole number.`);
  return shrink(BigInt(text));
}

function shrink(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function intLine(reader: ByteReader): number | bigint | boolean {
  const text = reader.shortLine(MAX_NUMBER_BYTES);
  if (text === '00') return false;
  if (text === '01') return true;
  return parseWhole(text);
}

/** A little-endian two's complement integer of `length` bytes. */
function long(reader: ByteReader, length: number): number | bigint {
  if (length > MAX_NUMBER_BYTES) {
    throw new PickleError(
      `An integer of ${length} bytes at byte ${reader.position}; at most ${MAX_NUMBER_BYTES} are read.`,
    );
  }
  if (length === 0) return 0;
  const hex = Buffer.from(reader.take(length)).reverse().toString('hex');
  return shrink(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)));
}

function floatLine(reader: ByteReader): number {
  const text = reader.shortLine(MAX_NUMBER_BYTES);
  if (text === 'inf') return Infinity;
  if (text === '-inf') return -Infinity;
  if (text === 'nan') return Number.NaN;
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) {
    throw new PickleError(`${JSON.stringify(text.slice(0, 40))} is no number.`);
  }
  return value;
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v' },
  ...{ '\\': '\\', "'": "'", '"': '"' },
};

/** The bytes between the quotes of a Python string literal. */
function quotedLine(reader: ByteReader): Uint8Array {
  const line = reader.line();
  const quote = line[0];
  if (line.length < 2 || (quote !== 0x27 && quote !== 0x22) || line[line.length - 1] !== quote) {
    throw new PickleError(`The string that ends at byte ${reader.position} has no quotes around it.`);
  }
  const text = decodeLatin1(line.subarray(1, -1)).replace(
    /\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)/gs,
    (whole, code: string) => {
      if (code.length === 3 && code[0] === 'x') return String.fromCharCode(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
      return ESCAPES[code] ?? whole;
    },
  );
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** Text in Python's raw-unicode-escape. */
function unicodeLine(reader: ByteReader): string {
  const line = decodeLatin1(reader.line());
  return line.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (_, short?: string, long?: string) => {
    if (short !== undefined) return String.fromCharCode(Number.parseInt(short, 16));
    const code = Number.parseInt(long ?? '', 16);
    if (code > 0x10ffff) throw new PickleError(`Text before byte ${reader.position} has a character beyond Unicode.`);
    return String.fromCodePoint(code);
  });
}
