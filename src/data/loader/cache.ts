// Decoded images kept in shared memory, so that every worker profits from what one of them has decoded.
import type { Image } from '../image.js';

const ABSENT = 0;
const TAKEN = 1;
const READY = 2;
const UNIT = 16;

/** What another thread needs to use the same cache. */
export interface CacheMemory {
  pixels: SharedArrayBuffer;
  /** Per image: state, place (in units of 16 bytes), height, width; then the units in use. */
  table: SharedArrayBuffer;
}

/** Room for `length` images and `bytes` of pixels. */
export function cacheMemory(length: number, bytes: number): CacheMemory {
  return {
    pixels: new SharedArrayBuffer(Math.max(0, Math.floor(bytes))),
    table: new SharedArrayBuffer((length + 1) * 16),
  };
}

/** Images by index. What does not fit is not kept; nothing is ever thrown out. */
export class PixelCache {
  private readonly table: Int32Array;
  private readonly usedAt: number;
  private readonly units: number;

  constructor(private readonly memory: CacheMemory) {
    this.table = new Int32Array(memory.table);
    this.usedAt = this.table.length - 4;
    this.units = Math.floor(memory.pixels.byteLength / UNIT);
  }

  /** The image, as a view of shared memory: not to be written to. */
  get(index: number): Image | undefined {
    const row = index * 4;
    if (Atomics.load(this.table, row) !== READY) return undefined;
    const height = this.table[row + 2]!;
    const width = this.table[row + 3]!;
    return { data: new Uint8Array(this.memory.pixels, this.table[row + 1]! * UNIT, height * width * 3), height, width };
  }

  /** Keeps a copy of the image if there is room and no other thread was faster. */
  put(index: number, image: Image): void {
    const row = index * 4;
    const needed = Math.ceil(image.data.length / UNIT);
    if (Atomics.load(this.table, this.usedAt) + needed > this.units) return;
    if (Atomics.compareExchange(this.table, row, ABSENT, TAKEN) !== ABSENT) return;
    const place = Atomics.add(this.table, this.usedAt, needed);
    if (place + needed > this.units) return;
    new Uint8Array(this.memory.pixels, place * UNIT, image.data.length).set(image.data);
    this.table[row + 1] = place;
    this.table[row + 2] = image.height;
    this.table[row + 3] = image.width;
    Atomics.store(this.table, row, READY);
  }
}
