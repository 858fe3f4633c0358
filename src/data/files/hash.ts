// Checksums of files.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** The digest of a file in lower-case hex, read in pieces. */
export async function fileHash(file: string, algorithm: 'md5' | 'sha256'): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
