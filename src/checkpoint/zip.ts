// Zip archives with bounds: sizes are checked against the file before anything is allocated, parts may not take more
// than the file has, and every part must match its checksum. The directory is read by npm's yauzl.
import fs from 'node:fs';
import zlib from 'node:zlib';
import yauzl from 'yauzl';
import { CheckpointError } from '../errors.js';
import { crc32 } from './crc32.js';
import { openForReading, readExactly } from './fileIo.js';

/** Deflate cannot shrink more than this; a part that claims to has a wrong size. */
const maxDeflateRatio = 1032;
/** What all parts together may take unpacked: this much, or this many times the file. */
const maxUnpacked = { bytes: 2 ** 28, timesFile: 32 };
/** What is read of a part to see how it begins. */
const startBytes = 4096;

/** An open archive: the directory is read and checked, parts are read one by one when asked for. */
export class ZipArchive {
  private constructor(
    readonly path: string,
    private readonly fd: number,
    private readonly fileSize: number,
    private readonly entries: ReadonlyMap<string, yauzl.Entry>,
  ) {}

  /** Opens an archive. Throws CheckpointError when it is no sound zip file, or would unpack to too much. */
  static async open(path: string): Promise<ZipArchive> {
    const fd = openForReading(path);
    try {
      const fileSize = fs.fstatSync(fd).size;
      const entries = await readDirectory(fd, fileSize);
      checkSizes(entries.values(), fileSize);
      return new ZipArchive(path, fd, fileSize, entries);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  /** The names of all parts. */
  get names(): string[] {
    return [...this.entries.keys()];
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  /** The unpacked size of a part in bytes. */
  size(name: string): number {
    return this.entry(name).uncompressedSize;
  }

  /** Reads one part. Throws CheckpointError when it is damaged or larger than `limit`. */
  read(name: string, limit = Number.POSITIVE_INFINITY): Buffer {
    const entry = this.entry(name);
    const { uncompressedSize: size, compressionMethod: method } = entry;
    if (size > limit) throw new CheckpointError(`its part ${name} has ${size} bytes, more than ${limit}.`);
    const packed = this.readPacked(entry, entry.compressedSize);
    const bytes = method === 0 ? packed : inflate(packed, size, name);
    if (crc32(bytes) !== entry.crc32) throw new CheckpointError(`its part ${name} does not match its checksum.`);
    return bytes;
  }

  /** The first bytes of a part, at least 1024 where it has them; its checksum is not looked at. */
  readStart(name: string): Buffer {
    const entry = this.entry(name);
    const packed = this.readPacked(entry, Math.min(entry.compressedSize, startBytes));
    return entry.compressionMethod === 0 ? packed : inflate(packed, startBytes * maxDeflateRatio, name, true);
  }

  close(): void {
    fs.closeSync(this.fd);
  }

  private entry(name: string): yauzl.Entry {
    const entry = this.entries.get(name);
    if (!entry) throw new CheckpointError(`it has no part ${JSON.stringify(name)}.`);
    return entry;
  }

  private readPacked(entry: yauzl.Entry, length: number): Buffer {
    const { relativeOffsetOfLocalHeader: at, fileName, compressedSize } = entry;
    // 30 bytes of local header, which ends with the lengths of a name and of further fields, come before the data.
    const fits = (end: number) => end <= this.fileSize;
    const header = fits(at + 30) ? readExactly(this.fd, at, 30) : Buffer.alloc(30);
    const start = at + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    if (header.toString('latin1', 0, 4) !== 'PK\x03\x04' || !fits(start + compressedSize)) {
      throw new CheckpointError(`its part ${fileName} is not where the directory says.`);
    }
    return readExactly(this.fd, start, length);
  }
}

/** Pieces of an open file for yauzl. What yauzl throws while it looks at them goes to `failed`, not past everyone. */
class PieceReader extends yauzl.RandomAccessReader {
  constructor(
    private readonly fd: number,
    private readonly fileSize: number,
    private readonly failed: (error: unknown) => void,
  ) {
    super();
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, count?: number) => void,
  ): void {
    setImmediate(() => {
      try {
        if (!(position >= 0 && position + length <= this.fileSize)) {
          throw new CheckpointError(`its directory points to byte ${position} of ${this.fileSize}.`);
        }
        readExactly(this.fd, position, length).copy(buffer, offset);
        callback(null, length);
      } catch (error) {
        this.failed(error);
      }
    });
  }
}

function readDirectory(fd: number, fileSize: number): Promise<Map<string, yauzl.Entry>> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) =>
      reject(
        error instanceof CheckpointError ? error : new CheckpointError((error as Error).message, { cause: error }),
      );
    const entries = new Map<string, yauzl.Entry>();
    const reader = new PieceReader(fd, fileSize, fail);
    yauzl.fromRandomAccessReader(reader, fileSize, { lazyEntries: true, autoClose: false }, (error, zip) => {
      if (error) {
        fail(error);
        return;
      }
      zip.on('error', fail);
      zip.on('end', () => resolve(entries));
      zip.on('entry', (entry: yauzl.Entry) => {
        if (entries.has(entry.fileName)) {
          fail(new CheckpointError(`it has two parts ${JSON.stringify(entry.fileName)}.`));
          return;
        }
        entries.set(entry.fileName, entry);
        zip.readEntry();
      });
      zip.readEntry();
    });
  });
}

function checkSizes(entries: Iterable<yauzl.Entry>, fileSize: number): void {
  let packed = 0;
  let unpacked = 0;
  for (const entry of entries) {
    const { fileName, compressionMethod: method, compressedSize, uncompressedSize } = entry;
    if (method !== 0 && method !== 8) {
      throw new CheckpointError(`its part ${fileName} is packed by method ${method}; stored and deflate are read.`);
    }
    if (entry.isEncrypted()) throw new CheckpointError(`its part ${fileName} is encrypted.`);
    if (uncompressedSize > maxDeflateRatio * compressedSize + 64) {
      throw new CheckpointError(`its part ${fileName} claims ${uncompressedSize} bytes from ${compressedSize}.`);
    }
    packed += compressedSize;
    if (method === 8) unpacked += uncompressedSize;
  }
  if (packed > fileSize) throw new CheckpointError(`its parts claim ${packed} bytes of a file of ${fileSize}.`);
  const limit = Math.max(maxUnpacked.bytes, maxUnpacked.timesFile * fileSize);
  if (unpacked > limit) {
    throw new CheckpointError(`it would unpack to ${unpacked} bytes, more than ${limit} for its size.`);
  }
}

function inflate(packed: Buffer, size: number, name: string, partial = false): Buffer {
  let bytes: Buffer;
  const finishFlush = partial ? zlib.constants.Z_SYNC_FLUSH : zlib.constants.Z_FINISH;
  try {
    bytes = zlib.inflateRawSync(packed, { maxOutputLength: Math.max(1, size), finishFlush });
  } catch (error) {
    throw new CheckpointError(`its part ${name} cannot be unpacked (${(error as Error).message}).`, { cause: error });
  }
  if (bytes.length !== size && !partial) {
    throw new CheckpointError(`its part ${name} unpacks to ${bytes.length} bytes, not to ${size}.`);
  }
  return bytes;
}
