// TensorBoard event files: TFRecord framing (tensorflow/core/lib/io/record_writer.h) around Event messages
// (tensorflow/core/util/event.proto). Written as they come, so a run can be watched and a killed run keeps its curve.
import fs from 'node:fs';
import path from 'node:path';
import { MessageWriter } from '../engine/index.js';
import { crc32c } from './crc32c.js';

const MASK_DELTA = 0xa282ead8;

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

function record(data: Uint8Array): Buffer {
  const out = Buffer.alloc(8 + 4 + data.length + 4);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(maskedCrc(out.subarray(0, 8)), 8);
  out.set(data, 12);
  out.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return out;
}

/** Appends scalars to an event file of its own in `directory`. */
export class EventWriter {
  readonly path: string;
  private readonly file: number;

  constructor(directory: string, now = Date.now()) {
    fs.mkdirSync(directory, { recursive: true });
    this.path = path.join(directory, `events.out.tfevents.${Math.floor(now / 1000)}.vitlab.${process.pid}`);
    this.file = fs.openSync(this.path, 'a');
    this.write(new MessageWriter().double(1, now / 1000).string(3, 'brain.Event:2'));
  }

  /** Scalars of a step by tag. */
  scalars(step: number, values: Readonly<Record<string, number>>, now = Date.now()): void {
    const event = new MessageWriter().double(1, now / 1000).varint(2, step);
    event.message(5, (summary) => {
      for (const [tag, value] of Object.entries(values)) {
        summary.message(1, (entry) => entry.string(1, tag).float(2, value));
      }
    });
    this.write(event);
  }

  close(): void {
    fs.closeSync(this.file);
  }

  private write(event: MessageWriter): void {
    fs.writeSync(this.file, record(event.finish()));
  }
}
