// A model hub on 127.0.0.1, with the routes that `@huggingface/hub` asks, and a second server that large files are
// redirected to, as the hub does.
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepo {
  commit: string;
  files: Record<string, Buffer>;
  /** Files that git keeps outside, named by their SHA-256. */
  large?: readonly string[];
  /** Files cannot be read without a token. */
  gated?: boolean;
}

/** A request as the server has seen it. */
export interface Seen {
  host: 'hub' | 'store';
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const gitHash = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export class FakeHub {
  readonly repos = new Map<string, FakeRepo>();
  readonly seen: Seen[] = [];
  /** The connection is cut once so many bytes of a file were sent. */
  cutAfter: number | undefined;
  /** What is sent in place of a file's contents. */
  sendInstead: Buffer | undefined;
  private readonly hub = http.createServer((request, response) => this.answer('hub', request, response));
  private readonly store = http.createServer((request, response) => this.answer('store', request, response));

  async start(): Promise<this> {
    for (const server of [this.hub, this.store]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return this;
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    }
  }

  get endpoint(): string {
    return address(this.hub);
  }

  /** Requests for contents of a file, without the question for one byte that comes before. */
  downloads(): Seen[] {
    return this.seen.filter(
      ({ path, range, host }) => path.includes('/resolve/') && range !== 'bytes=0-0' && host === 'hub',
    );
  }

  private answer(host: Seen['host'], request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const { range, authorization } = request.headers;
    this.seen.push({ host, path: pathname, range, authorization });
    const [, repoName, route = '', revision = '', name = ''] =
      /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/([^/]+)\/([^/]+)\/?(.*)$/.exec(pathname) ?? [];
    const repo = this.repos.get(repoName ?? '');
    const bytes = repo?.files[name];
    const allowed = !repo?.gated || host === 'store' || authorization === 'Bearer hf_good';
    if (!repo) refuse(response, 401, 'RepoNotFound', 'Invalid username or password.');
    else if (![encodeURIComponent(repo.commit), 'main'].includes(revision)) {
      refuse(response, 404, 'RevisionNotFound', 'Invalid rev');
    } else if (route === 'revision') json(response, { _id: 'x', id: repoName, sha: repo.commit, private: false });
    else if (route === 'tree') {
      const entries = Object.keys(repo.files).map((path) => entry(repo, path));
      json(response, entries);
    } else if (!bytes) refuse(response, 404, 'EntryNotFound', 'Entry not found');
    else if (!allowed) refuse(response, authorization ? 403 : 401, 'GatedRepo', 'Access is restricted.');
    else if (host === 'hub' && repo.large?.includes(name)) {
      const headers = { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': bytes.length };
      response.writeHead(302, { ...headers, location: address(this.store) + pathname }).end();
    } else this.send(this.sendInstead && range !== 'bytes=0-0' ? this.sendInstead : bytes, range, response);
  }

  private send(bytes: Buffer, range: string | undefined, response: http.ServerResponse): void {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Number(to) + 1 : bytes.length;
    response.writeHead(range ? 206 : 200, {
      etag: `"${gitHash(bytes)}"`,
      'content-length': end - start,
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
    });
    const cut = this.cutAfter;
    if (cut === undefined || end - start <= cut) response.end(bytes.subarray(start, end));
    // what was written has left this process before the connection breaks
    else response.write(bytes.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 50));
  }
}

const address = (server: http.Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function entry({ files, large }: FakeRepo, path: string): object {
  const bytes = files[path]!;
  const pointer = { type: 'file', path, size: bytes.length, oid: gitHash(bytes) };
  if (!large?.includes(path)) return pointer;
  return { ...pointer, oid: '0'.repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } };
}

function json(response: http.ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refuse(response: http.ServerResponse, status: number, code: string, error: string): void {
  const headers = { 'content-type': 'application/json', 'x-error-code': code };
  response.writeHead(status, headers).end(JSON.stringify({ error }));
}
