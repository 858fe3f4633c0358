// Explicit generators. Every random number of vitlab follows from (seed, purpose, step): a generator is made from a
// seed, split by naming purposes, and never shared or advanced behind a caller's back.

import { PhiloxStream } from './philox.js';

/** FNV-1a over UTF-16 code units, then a final mix: a purpose's name as a well-spread signed 32-bit integer. */
export function hashPurpose(purpose: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}

/**
 * The generator of one purpose: `new Rng(seed, 'init/blocks.0.attn.qkv.weight')`,
 * `new Rng(seed, 'augment', epoch * length + index)`. The same three values give the same numbers on every machine,
 * in every process and thread.
 */
export class Rng {
  private readonly stream: PhiloxStream;
  private spare: number | undefined;

  /**
   * @param seed the run's seed, a 32-bit integer
   * @param purpose what the numbers are for
   * @param step which use of that purpose: a training step, an epoch, an example's index
   */
  constructor(
    readonly seed: number,
    readonly purpose: string,
    readonly step = 0,
  ) {
    this.stream = new PhiloxStream((seed + hashPurpose(purpose)) | 0, step | 0);
  }

  /** A generator for a part of this purpose. */
  split(purpose: string, step = this.step): Rng {
    return new Rng(this.seed, `${this.purpose}/${purpose}`, step);
  }

  /** Uniform in [low, high), 23 random bits. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * this.stream.uniform();
  }

  /** A uniform integer in [0, bound), without modulo bias. */
  integer(bound: number): number {
    if (!(Number.isInteger(bound) && bound > 0 && bound <= 2 ** 32)) {
      throw new RangeError(`integer(bound) needs a whole bound between 1 and 2^32, got ${bound}`);
    }
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.stream.next();
      if (word < limit) return word % bound;
    }
  }

  /** Normal with the given mean and standard deviation (Box–Muller). */
  normal(mean = 0, std = 1): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return mean + std * value;
    }
    const radius = Math.sqrt(-2 * Math.log((this.stream.next() + 1) / 2 ** 32));
    const angle = (2 * Math.PI * this.stream.next()) / 2 ** 32;
    this.spare = radius * Math.sin(angle);
    return mean + std * radius * Math.cos(angle);
  }

  /** Normal, redrawn until it lies in [low, high]: PyTorch's and timm's `trunc_normal_` (absolute bounds). */
  truncatedNormal(mean: number, std: number, low: number, high: number): number {
    for (;;) {
      const value = this.normal(mean, std);
      if (value >= low && value <= high) return value;
    }
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.stream.uniform() < p;
  }

  /** The numbers 0 … length-1 in random order (Fisher–Yates). */
  permutation(length: number): Int32Array {
    const order = Int32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    return order;
  }
}
