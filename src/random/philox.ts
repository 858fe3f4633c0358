// Philox 4×32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A draw depends on key and counter alone, so a number can be made anywhere (worker, graph, other engine) without
// handing state around. Seeding and the conversion to floats follow TensorFlow's stateless ops, so that
// `StatelessRandomUniform` in a graph and this file give the same bits.

const MULTIPLIER_A = 0xd2511f53;
const MULTIPLIER_B = 0xcd9e8d57;
const WEYL_A = 0x9e3779b9;
const WEYL_B = 0xbb67ae85;

/** The high 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/** Ten rounds of Philox over `counter` (4 words) under `key` (2 words), written into `out` at `offset`. */
function philox(counter: Uint32Array, key0: number, key1: number, out: Uint32Array, offset: number): void {
  let c0 = counter[0]!;
  let c1 = counter[1]!;
  let c2 = counter[2]!;
  let c3 = counter[3]!;
  for (let round = 0; round < 10; round++) {
    const highA = multiplyHigh(MULTIPLIER_A, c0);
    const lowA = Math.imul(MULTIPLIER_A, c0);
    const highB = multiplyHigh(MULTIPLIER_B, c2);
    const lowB = Math.imul(MULTIPLIER_B, c2);
    c0 = (highB ^ c1 ^ key0) >>> 0;
    c1 = lowB >>> 0;
    c2 = (highA ^ c3 ^ key1) >>> 0;
    c3 = lowA >>> 0;
    key0 = (key0 + WEYL_A) >>> 0;
    key1 = (key1 + WEYL_B) >>> 0;
  }
  out[offset] = c0;
  out[offset + 1] = c1;
  out[offset + 2] = c2;
  out[offset + 3] = c3;
}

/** A stream of 32-bit words that follows from two seed words alone, as TensorFlow's stateless ops seed it. */
export class PhiloxStream {
  private readonly key0: number;
  private readonly key1: number;
  private readonly counter = new Uint32Array(4);
  private readonly block = new Uint32Array(4);
  private used = 4;

  constructor(seed0: number, seed1: number) {
    // int32 seeds are sign-extended to 64 bits before they are mixed
    const words = Uint32Array.of(seed0, seed0 < 0 ? -1 : 0, seed1, seed1 < 0 ? -1 : 0);
    const mixed = new Uint32Array(4);
    philox(words, 0x3ec8f720, 0x02461e29, mixed, 0);
    this.key0 = mixed[0]!;
    this.key1 = mixed[1]!;
    this.counter[2] = mixed[2]!;
    this.counter[3] = mixed[3]!;
  }

  /** The next 32 random bits, unsigned. */
  next(): number {
    if (this.used === 4) {
      philox(this.counter, this.key0, this.key1, this.block, 0);
      this.used = 0;
      for (let i = 0; i < 4; i++) {
        this.counter[i] = this.counter[i]! + 1;
        if (this.counter[i] !== 0) break;
      }
    }
    return this.block[this.used++]!;
  }

  /** A float32 in [0, 1) with 23 random bits, bit for bit what TensorFlow makes of the same word. */
  uniform(): number {
    return (this.next() & 0x7fffff) / 0x800000;
  }
}
