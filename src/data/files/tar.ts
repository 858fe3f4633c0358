// Reads tar archives (POSIX ustar, with GNU long names and pax paths) from a stream, and unpacks them safely: plain
// files and folders only, nowhere but below the target, and no more bytes than the caller allows.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DataError } from '../../errors.js';

const BLOCK = 512;
const MAX_HEADER_BYTES = 64 * 1024;

export interface TarEntry {
  name: string;
  kind: 'file' | 'folder' | 'other';
  size: number;
  /** The contents, to be read before the next entry is asked for; what is left is passed over. */
  body: AsyncIterable<Uint8Array>;
}

/** Hands out a stream in pieces of wanted lengths. */
class ByteSource {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.chunks = stream[Symbol.asyncIterator]();
  }

  /** Up to `limit` bytes, none only at the end of the stream. */
  async some(limit: number): Promise<Uint8Array> {
    while (this.chunk.length === 0) {
      const next = await this.chunks.next();
      if (next.done) return this.chunk;
      this.chunk = next.value;
    }
    const piece = this.chunk.subarray(0, limit);
    this.chunk = this.chunk.subarray(piece.length);
    return piece;
  }

  /** Exactly `length` bytes, or undefined at the end of the stream. */
  async exactly(length: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const piece = await this.some(length - filled);
      if (piece.length === 0 && filled === 0) return undefined;
      if (piece.length === 0) throw new DataError('The tar archive ends in the middle of a block.');
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return bytes;
  }

  async end(): Promise<void> {
    await this.chunks.return?.();
  }
}

/** The entries of a tar stream in order. Throws DataError for a damaged archive. */
export async function* tarEntries(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const source = new ByteSource(stream);
  try {
    let longName: string | undefined;
    for (;;) {
      const header = await source.exactly(BLOCK);
      if (!header || header.every((byte) => byte === 0)) return;
      const entry = parseHeader(header);
      const rest = { left: entry.size };
      const body = contents(source, rest);
      if (entry.type === 'L' || entry.type === 'x') {
        longName = headerName(entry.type, await collect(body, MAX_HEADER_BYTES)) ?? longName;
      } else if (entry.type !== 'g') {
        const kind = entry.type === '0' || entry.type === '\0' ? 'file' : entry.type === '5' ? 'folder' : 'other';
        yield { name: longName ?? entry.name, kind, size: entry.size, body };
        longName = undefined;
      }
      for await (const _ of contents(source, rest)); // what the caller has left
      const padding = (BLOCK - (entry.size % BLOCK)) % BLOCK;
      if (padding > 0 && !(await source.exactly(padding))) throw new DataError('The tar archive ends early.');
    }
  } finally {
    await source.end();
  }
}

async function* contents(source: ByteSource, rest: { left: number }): AsyncGenerator<Uint8Array, void, undefined> {
  while (rest.left > 0) {
    const piece = await source.some(rest.left);
    if (piece.length === 0) throw new DataError(`The tar archive ends ${rest.left} bytes before a file does.`);
    rest.left -= piece.length;
    yield piece;
  }
}

function parseHeader(header: Uint8Array): { name: string; size: number; type: string } {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!;
  if (sum !== octal(header, 148, 8)) throw new DataError('The tar archive is damaged: a header has a wrong checksum.');
  const ustar = text(header, 257, 5) === 'ustar';
  const prefix = ustar ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return {
    name: prefix ? `${prefix}/${name}` : name,
    size: octal(header, 124, 12),
    type: text(header, 156, 1) || '\0',
  };
}

function text(bytes: Uint8Array, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString('utf8');
}

/** An octal number, or GNU's base 256 for large ones. */
function octal(bytes: Uint8Array, start: number, length: number): number {
  let value = 0;
  if (bytes[start]! & 0x80) {
    for (let i = start + 1; i < start + length; i++) value = value * 256 + bytes[i]!;
  } else {
    const digits = text(bytes, start, length).trim();
    if (!/^[0-7]*$/.test(digits))
      throw new DataError('The tar archive is damaged: a header has a number that is none.');
    value = Number.parseInt(digits || '0', 8);
  }
  if (!Number.isSafeInteger(value)) throw new DataError('The tar archive claims a file of impossible size.');
  return value;
}

/** The name that a long-name or pax header gives to the entry after it. */
function headerName(type: string, bytes: Uint8Array): string | undefined {
  if (type === 'L') return text(bytes, 0, bytes.length);
  let position = 0;
  let found: string | undefined;
  while (position < bytes.length) {
    const space = bytes.indexOf(32, position);
    const length = space < 0 ? Number.NaN : Number(text(bytes, position, space - position));
    if (!(length > space - position && position + length <= bytes.length)) {
      throw new DataError('The tar archive is damaged: a pax header has a record of wrong length.');
    }
    const record = text(bytes, space + 1, position + length - space - 2);
    if (record.startsWith('path=')) found = record.slice(5);
    position += length;
  }
  return found;
}

/** All of a body, up to a limit. */
export async function collect(body: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of body) {
    total += piece.length;
    if (total > limit) throw new DataError(`A file in the tar archive is larger than the ${limit} bytes allowed.`);
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces, total));
}

/** The bytes of a .tar, .tar.gz or .tgz file. Damage is a DataError. */
export async function* archiveStream(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const raw = createReadStream(file, { highWaterMark: 1 << 20 });
  const zipped = /\.t?gz$/.test(file);
  const gunzip = createGunzip({ chunkSize: 1 << 20 });
  if (zipped) raw.pipe(gunzip);
  raw.on('error', (error) => gunzip.destroy(error));
  const stream = zipped ? gunzip : raw;
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new DataError(`The archive ${file} cannot be read: ${(cause as Error).message}. Download it again.`, {
      cause,
    });
  } finally {
    raw.destroy();
    gunzip.destroy();
  }
}

/**
 * Unpacks an archive to `target`, which appears only when all is there. With `inner` only that top folder of the
 * archive is unpacked, and becomes the target. Refuses links, devices, and names that lead
 * out of the target, with a DataError that names the entry.
 */
export async function extractArchive(
  file: string,
  target: string,
  options: { maxBytes?: number; inner?: string } = {},
): Promise<void> {
  const maxBytes = options.maxBytes ?? 16 * 2 ** 30;
  await mkdir(path.dirname(target), { recursive: true });
  const work = await mkdtemp(`${target}.part-`);
  let total = 0;
  try {
    for await (const entry of tarEntries(archiveStream(file))) {
      const parts = partsBelow(entry, file);
      if (options.inner !== undefined && parts.shift() !== options.inner) continue;
      const place = path.join(work, ...parts);
      total += entry.size;
      if (total > maxBytes) throw new DataError(`${file} unpacks to more than the ${maxBytes} bytes allowed.`);
      if (entry.kind === 'folder') {
        await mkdir(place, { recursive: true });
        continue;
      }
      await mkdir(path.dirname(place), { recursive: true });
      await pipeline(Readable.from(entry.body), createWriteStream(place, { flags: 'wx' }));
    }
    await rm(target, { recursive: true, force: true });
    await rename(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The parts of an entry's path, once it is known to stay below the target and to be a file or folder. */
function partsBelow(entry: TarEntry, file: string): string[] {
  const parts = entry.name.split('/').filter((part) => part !== '' && part !== '.');
  const escapes = entry.name.startsWith('/') || parts.includes('..') || /[\0\\]/.test(entry.name);
  if (escapes)
    throw new DataError(`${file} holds ${JSON.stringify(entry.name)}, which leads out of its folder; refused.`);
  if (entry.kind === 'other') {
    throw new DataError(`${file} holds ${JSON.stringify(entry.name)}, a link or device; only files are unpacked.`);
  }
  return parts;
}
