// Protocol-buffer encoding, as much of it as a TensorFlow graph needs (developers.google.com/protocol-buffers, encoding).

/** Writes the fields of one message. */
export class MessageWriter {
  private buffer = Buffer.allocUnsafe(256);
  private length = 0;

  /** An unsigned or non-negative integer below 2^53, an enum, or a boolean. Negative numbers take ten bytes. */
  varint(field: number, value: number | boolean): this {
    this.tag(field, 0);
    this.raw(Number(value));
    return this;
  }

  /** A 32-bit float. */
  float(field: number, value: number): this {
    this.tag(field, 5);
    this.reserve(4);
    this.length = this.buffer.writeFloatLE(value, this.length);
    return this;
  }

  /** A 64-bit float. */
  double(field: number, value: number): this {
    this.tag(field, 1);
    this.reserve(8);
    this.length = this.buffer.writeDoubleLE(value, this.length);
    return this;
  }

  /** The head of a field whose `length` bytes are written elsewhere. */
  head(field: number, length: number): this {
    this.tag(field, 2);
    this.raw(length);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.head(field, value.length);
    this.reserve(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'));
  }

  message(field: number, write: (message: MessageWriter) => void): this {
    const message = new MessageWriter();
    write(message);
    return this.bytes(field, message.finish());
  }

  packedVarints(field: number, values: readonly (number | boolean)[]): this {
    const packed = new MessageWriter();
    for (const value of values) packed.raw(Number(value));
    return this.bytes(field, packed.finish());
  }

  packedFloats(field: number, values: readonly number[]): this {
    return this.bytes(field, new Uint8Array(Float32Array.from(values).buffer));
  }

  /** Bytes written so far. */
  get size(): number {
    return this.length;
  }

  finish(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private tag(field: number, wireType: number): void {
    this.raw(field * 8 + wireType);
  }

  private raw(value: number): void {
    this.reserve(10);
    if (value < 0) {
      for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
        const low = Number(rest & 0x7fn);
        const last = rest < 0x80n;
        this.buffer[this.length++] = last ? low : low | 0x80;
        if (last) return;
      }
    }
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.buffer[this.length++] = (value % 0x80) | 0x80;
    this.buffer[this.length++] = value;
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}
