// Zip archives with bounds: sizes are checked against the file before anything is allocated, parts may not overlap,
// and every part must match its checksum. The directory is read by npm's yauzl.
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

/** What yauzl 3 offers beyond the types of version 2. */
interface LocalHeaders {
  readLocalFileHeader(
    entry: yauzl.Entry,
    options: { minimal: true },
    callback: (error: Error | null, header: { fileDataStart: number }) => void,
  ): void;
}

/** An open archive: the directory is read and checked, parts are read one by one when asked for. */
export class ZipArchive {
  private constructor(
    readonly path: string,
    private readonly fd: number,
    private readonly zip: yauzl.ZipFile,
    private readonly entries: ReadonlyMap<string, yauzl.Entry>,
  ) {}

  /** Opens an archive. Throws CheckpointError when it is no sound zip file, or would unpack to too much. */
  static async open(path: string): Promise<ZipArchive> {
    const fd = openForReading(path);
    try {
      const zip = await openZip(fd);
      const entries = await readDirectory(zip);
      checkSizes(entries.values(), fs.fstatSync(fd).size);
      return new ZipArchive(path, fd, zip, entries);
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
  async read(name: string, limit = Number.POSITIVE_INFINITY): Promise<Buffer> {
    const entry = this.entry(name);
    const { uncompressedSize: size, compressionMethod: method } = entry;
    if (size > limit) throw new CheckpointError(`its part ${name} has ${size} bytes, more than ${limit}.`);
    const packed = await this.readPacked(entry, entry.compressedSize);
    const bytes = method === 0 ? packed : inflate(packed, size, name);
    if (crc32(bytes) !== entry.crc32) throw new CheckpointError(`its part ${name} does not match its checksum.`);
    return bytes;
  }

  /** The first bytes of a part, at least 1024 where it has them; its checksum is not looked at. */
  async readStart(name: string): Promise<Buffer> {
    const entry = this.entry(name);
    const packed = await this.readPacked(entry, Math.min(entry.compressedSize, startBytes));
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

  private async readPacked(entry: yauzl.Entry, length: number): Promise<Buffer> {
    return readExactly(this.fd, await dataStart(this.zip, entry), length);
  }
}

const typed = (error: Error): CheckpointError => new CheckpointError(`${error.message}.`, { cause: error });

function openZip(fd: number): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.fromFd(fd, { lazyEntries: true, autoClose: false }, (error, zip) =>
      error ? reject(typed(error)) : resolve(zip),
    );
  });
}

function readDirectory(zip: yauzl.ZipFile): Promise<Map<string, yauzl.Entry>> {
  return new Promise((resolve, reject) => {
    const entries = new Map<string, yauzl.Entry>();
    zip.on('error', (error: Error) => reject(typed(error)));
    zip.on('end', () => resolve(entries));
    zip.on('entry', (entry: yauzl.Entry) => {
      if (entries.has(entry.fileName)) {
        reject(new CheckpointError(`it has two parts ${JSON.stringify(entry.fileName)}.`));
        return;
      }
      entries.set(entry.fileName, entry);
      zip.readEntry();
    });
    zip.readEntry();
  });
}

/** Where a part's bytes begin; yauzl checks that they end within the file. */
function dataStart(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<number> {
  return new Promise((resolve, reject) => {
    (zip as unknown as LocalHeaders).readLocalFileHeader(entry, { minimal: true }, (error, header) =>
      error ? reject(typed(error)) : resolve(header.fileDataStart),
    );
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
