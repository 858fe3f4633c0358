// Downloads a file over HTTP: resumes what is there, tries again, checks the checksum, and shows the file under its
// name only when it is whole and right.
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../../errors.js';
import { plural } from '../../words.js';
import { fileHash } from './hash.js';

export interface DownloadOptions {
  md5?: string;
  sha256?: string;
  /** Sent with every request. An `authorization` does not follow a redirect to another origin. */
  headers?: Readonly<Record<string, string>>;
  /** Attempts in all; each resumes where the one before stopped. Default 5. */
  attempts?: number;
  /** Waiting time before the second attempt, doubled from one to the next. Default 1000. */
  retryMs?: number;
  /** How long a connection may stay silent. Default 60 s. */
  silenceMs?: number;
  /** Called as bytes arrive; `total` is undefined where the server does not say. */
  onProgress?: (received: number, total: number | undefined) => void;
}

/** A refusal that trying again does not change. */
class PermanentError extends DataError {}

/**
 * Downloads `url` to `target`. Bytes are gathered in `<target>.part`, which a later call continues.
 *
 * @throws DataError when the server refuses, the connection keeps failing, or the checksum is wrong (the wrong file is
 * then removed).
 */
export async function download(url: string, target: string, options: DownloadOptions = {}): Promise<void> {
  const { attempts = 5, retryMs = 1000 } = options;
  const part = `${target}.part`;
  await mkdir(path.dirname(target), { recursive: true });
  for (let attempt = 1; ; attempt++) {
    try {
      const resumed = await fetchRest(url, part, options);
      const wrong = await checksumError(part, options);
      if (!wrong) break;
      await rm(part, { force: true });
      // what was resumed may have been the remains of another file
      if (!resumed) throw new PermanentError(`${url} gives a file with ${wrong}. Nothing was kept.`);
      throw new DataError(`The resumed download of ${url} has ${wrong}`);
    } catch (error) {
      if (error instanceof PermanentError) throw error;
      if (attempt >= attempts) {
        throw new DataError(
          `Downloading ${url} failed ${plural(attempts, 'time')}, last with: ${reason(error)}. What has arrived is kept; run the same command again to go on.`,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, retryMs * 2 ** (attempt - 1)));
    }
  }
  await rename(part, target);
}

function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message ? `${message} (${cause.message})` : message;
}

/** What is wrong with the checksums of a file, if anything. */
export async function checksumError(
  file: string,
  expected: { md5?: string | undefined; sha256?: string | undefined },
): Promise<string | undefined> {
  for (const algorithm of ['md5', 'sha256'] as const) {
    const wanted = expected[algorithm];
    if (wanted === undefined) continue;
    const found = await fileHash(file, algorithm);
    if (found !== wanted.toLowerCase()) return `the ${algorithm} ${found}, expected ${wanted}`;
  }
  return undefined;
}

/** Fetches what is missing of `part`; whether it continued a former download. */
async function fetchRest(url: string, part: string, options: DownloadOptions): Promise<boolean> {
  const present = await stat(part).then(
    ({ size }) => size,
    () => 0,
  );
  const abort = new AbortController();
  const silence = setTimeout(() => abort.abort(new Error('the server is silent')), options.silenceMs ?? 60_000);
  try {
    const headers = {
      ...options.headers,
      'accept-encoding': 'identity',
      ...(present > 0 ? { range: `bytes=${present}-` } : {}),
    };
    const response = await fetch(url, { headers, signal: abort.signal });
    if (response.status === 416 && present > 0) return finishRange(response, part, present);
    if (!response.ok || !response.body) throw refusal(url, response.status);
    const start = response.status === 206 ? rangeStart(response, present) : 0;
    const total = totalLength(response, start);
    let received = start;
    // written piece by piece, so that all that has arrived is there when the connection breaks
    const file = await open(part, start > 0 ? 'a' : 'w');
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        await file.writeFile(chunk);
        silence.refresh();
        received += chunk.length;
        options.onProgress?.(received, total);
      }
    } finally {
      await file.close();
    }
    if (total !== undefined && received !== total) {
      throw new DataError(`the connection ended after ${received} of ${total} bytes`);
    }
    return start > 0;
  } finally {
    clearTimeout(silence);
  }
}

/** The server says that nothing follows: the part is whole, or longer than the file and useless. */
async function finishRange(response: Response, part: string, present: number): Promise<boolean> {
  await response.body?.cancel();
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (total !== undefined && Number(total) === present) return true;
  await rm(part, { force: true });
  throw new DataError('the server has a shorter file than what was there; starting over');
}

function refusal(url: string, status: number): Error {
  const message = `the server answers ${status} for ${url}`;
  const permanent = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
  return permanent ? new PermanentError(`Cannot download: ${message}.`) : new DataError(message);
}

function rangeStart(response: Response, present: number): number {
  const start = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]);
  if (start !== present) throw new DataError(`the server answers with another range than was asked for`);
  return start;
}

function totalLength(response: Response, start: number): number | undefined {
  const length = response.headers.get('content-length');
  return length === null ? undefined : start + Number(length);
}
