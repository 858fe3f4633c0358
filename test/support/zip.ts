// Writes zip archives byte by byte, so that tests can make sound ones and wrong ones.
import zlib from 'node:zlib';
import { crc32ByTable } from '../../src/checkpoint/crc32.js';

export interface ZipPart {
  name: string;
  bytes: Uint8Array;
  deflate?: boolean;
  /** The deflated bytes, where they are known already. */
  packed?: Buffer;
  /** What the directory claims instead of the true unpacked size, checksum or place. */
  claim?: { size?: number; crc?: number; offset?: number };
  /** Only in the directory: its bytes are not written. */
  ghost?: boolean;
}

/** A zip archive of the given parts. */
export function makeZip(parts: readonly ZipPart[]): Buffer {
  const body: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const { name, bytes, deflate, packed: known, claim, ghost } of parts) {
    const packed = known ?? (deflate ? zlib.deflateRawSync(bytes, { level: 9 }) : Buffer.from(bytes));
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(deflate ? 8 : 0, 4);
    fields.writeUInt32LE(claim?.crc ?? crc32ByTable(bytes), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claim?.size ?? bytes.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name)]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(claim?.offset ?? position, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, rest, Buffer.from(name)]));
    if (ghost) continue;
    body.push(local, packed);
    position += local.length + packed.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...body, central, end]);
}
