// A bounds-checked cursor over the bytes of a pickle. Nothing is allocated by a length that the file only claims.
import { VitlabError } from '../errors.js';

/** A pickle that is damaged, hostile or asks for something that is not allowed. */
export class PickleError extends VitlabError {}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A cursor that refuses to pass the end. */
export class ByteReader {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    public position = 0,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  /** Moves on by `length` bytes and returns where they start. */
  private advance(length: number): number {
    if (length > this.remaining) {
      throw new PickleError(
        `The pickle ends early: ${length} bytes are claimed at byte ${this.position}, but ${this.remaining} are left.`,
      );
    }
    const start = this.position;
    this.position += length;
    return start;
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1));
  }
  uint16(): number {
    return this.view.getUint16(this.advance(2), true);
  }
  int32(): number {
    return this.view.getInt32(this.advance(4), true);
  }
  uint32(): number {
    return this.view.getUint32(this.advance(4), true);
  }
  float64(): number {
    return this.view.getFloat64(this.advance(8), false);
  }

  /** A 64-bit length; more than the file can hold is refused when it is used. */
  length64(): number {
    return Number(this.view.getBigUint64(this.advance(8), true));
  }

  /** The next `length` bytes, as a view of the input. */
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.bytes.subarray(start, start + length);
  }

  /** The bytes up to the next line feed, which is passed over. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(10, this.position);
    if (end < 0) throw new PickleError(`The pickle ends early: a line begun at byte ${this.position} has no end.`);
    const line = this.bytes.subarray(this.position, end);
    this.position = end + 1;
    return line;
  }

  /** The next `length` bytes as UTF-8 text. */
  text(length: number): string {
    return decodeUtf8(this.take(length), this.position);
  }

  /** A line as text of at most `limit` bytes: numbers and names, which are short. */
  shortLine(limit = 4096): string {
    const line = this.line();
    if (line.length > limit) {
      throw new PickleError(`A line of ${line.length} bytes ends at byte ${this.position}; at most ${limit} are read.`);
    }
    return decodeUtf8(line, this.position);
  }
}

/** UTF-8 text; `position` is for the message. */
export function decodeUtf8(bytes: Uint8Array, position: number): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new PickleError(`The text that ends at byte ${position} is not UTF-8.`, { cause });
  }
}

/** Bytes as text, one character a byte: how Python 2's strings are read. */
export function decodeLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
