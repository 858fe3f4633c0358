import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Archive, download, getArchive, getDataset } from '../../src/data/index.js';
import { DataError, UsageError } from '../../src/errors.js';
import { tar, temporaryFolder } from './support.js';

const contents = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * i) >> 3));
const md5 = createHash('md5').update(contents).digest('hex');
const sha256 = createHash('sha256').update(contents).digest('hex');

type Behaviour = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** Serves the contents, ranges included. */
const whole: Behaviour = (request, response) => {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (start >= contents.length) {
    response.writeHead(416, { 'content-range': `bytes */${contents.length}` }).end();
    return;
  }
  const headers = { 'content-length': contents.length - start };
  if (request.headers.range === undefined) response.writeHead(200, headers);
  else
    response.writeHead(206, {
      ...headers,
      'content-range': `bytes ${start}-${contents.length - 1}/${contents.length}`,
    });
  response.end(contents.subarray(start));
};

/** What the client has written so far. */
let arrived = 0;
const onProgress = (received: number) => {
  arrived = received;
};

/** As `whole`, but the connection is cut once so many bytes have arrived. */
const cutAfter =
  (bytes: number): Behaviour =>
  (request, response) => {
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const end = Math.min(contents.length, start + bytes);
    const range = { 'content-range': `bytes ${start}-${contents.length - 1}/${contents.length}` };
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': contents.length - start,
      ...(start > 0 ? range : {}),
    });
    response.write(contents.subarray(start, end));
    const poll = setInterval(() => {
      if (arrived < end) return;
      clearInterval(poll);
      response.destroy();
    }, 2);
  };

const answer =
  (status: number): Behaviour =>
  (_, response) =>
    void response.writeHead(status).end('no');

describe('downloads', () => {
  let server: http.Server;
  let url: string;
  let queue: Behaviour[] = [];
  let ranges: (string | undefined)[] = [];
  let target: string;

  before(async () => {
    server = http.createServer((request, response) => {
      ranges.push(request.headers.range);
      (queue.length > 1 ? queue.shift()! : queue[0]!)(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.bin`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const folder = temporaryFolder();
  let count = 0;
  beforeEach(() => {
    queue = [whole];
    ranges = [];
    arrived = 0;
    target = path.join(folder, `${count++}`, 'file.bin');
  });
  const quick = { retryMs: 1, onProgress };

  it('arrive whole, with progress, under their name only', async () => {
    const seen: number[] = [];
    await download(url, target, {
      md5,
      sha256,
      onProgress: (received, total) => assert.equal(total, contents.length) ?? seen.push(received),
    });
    assert.ok(readFileSync(target).equals(contents));
    assert.deepEqual(readdirSync(path.dirname(target)), ['file.bin']);
    assert.equal(seen.at(-1), contents.length);
  });

  it('go on where the connection was cut', async () => {
    queue = [cutAfter(50_000), cutAfter(70_000), whole];
    await download(url, target, { ...quick, md5 });
    assert.ok(readFileSync(target).equals(contents));
    assert.deepEqual(ranges, [undefined, 'bytes=50000-', 'bytes=120000-']);
  });

  it('go on in a later call', async () => {
    queue = [cutAfter(60_000)];
    await assert.rejects(
      download(url, target, { ...quick, attempts: 1, md5 }),
      /failed 1 time,.*run the same command again/,
    );
    assert.ok(existsSync(`${target}.part`) && !existsSync(target));
    queue = [whole];
    await download(url, target, { ...quick, md5 });
    assert.equal(ranges[1], 'bytes=60000-');
    assert.ok(readFileSync(target).equals(contents));
  });

  it('start over where the server ignores ranges', async () => {
    const ignoring: Behaviour = (_, response) =>
      void response.writeHead(200, { 'content-length': contents.length }).end(contents);
    queue = [cutAfter(50_000), ignoring];
    await download(url, target, { ...quick, md5 });
    assert.ok(readFileSync(target).equals(contents));
  });

  it('take a part that is already whole', async () => {
    await download(url, `${target}.first`, { md5 });
    writeFileSync(`${target}.part`, contents);
    ranges = [];
    await download(url, target, { ...quick, md5 });
    assert.deepEqual(ranges, ['bytes=200000-']);
    assert.ok(readFileSync(target).equals(contents));
  });

  it('drop remains of another file', async () => {
    for (const remains of [Buffer.alloc(1000, 7), Buffer.alloc(contents.length, 7), Buffer.alloc(300_000, 7)]) {
      await download(url, `${target}.first`, { md5 });
      writeFileSync(`${target}.part`, remains);
      await download(url, target, { ...quick, md5 });
      assert.ok(readFileSync(target).equals(contents), `${remains.length} bytes of remains`);
    }
  });

  it('refuse wrong bytes and keep nothing', async () => {
    queue = [(_, response) => void response.end('something else')];
    await assert.rejects(
      download(url, target, { ...quick, md5 }),
      (error) => error instanceof DataError && error.message.includes(md5),
    );
    assert.equal(ranges.length, 1, 'wrong contents are not asked for again');
    assert.deepEqual(readdirSync(path.dirname(target)), []);
    queue = [whole];
    await assert.rejects(download(url, target, { ...quick, sha256: sha256.replace(/./, 'g') }), /sha256/);
  });

  it('try again after server errors, not after refusals', async () => {
    queue = [answer(503), answer(429), whole];
    await download(url, target, { ...quick, md5 });
    assert.equal(ranges.length, 3);
    queue = [answer(404)];
    ranges = [];
    await assert.rejects(download(url, `${target}2`, quick), /answers 404/);
    assert.equal(ranges.length, 1);
  });

  it('give up on a silent server', async () => {
    queue = [(_, response) => void response.writeHead(200, { 'content-length': 10 }).write('abc')];
    await assert.rejects(download(url, target, { attempts: 2, retryMs: 1, silenceMs: 50 }), /failed 2 times.*silent/);
  });

  it('follow redirects', async () => {
    queue = [(_, response) => void response.writeHead(302, { location: '/elsewhere' }).end(), whole];
    await download(url, target, { md5 });
    assert.ok(readFileSync(target).equals(contents));
  });
});

describe('getting a data set', () => {
  const unpacked = tar([
    { name: 'set/images.txt', contents: 'hello' },
    { name: 'notes.txt', contents: 'beside' },
  ]);
  let server: http.Server;
  let base: string;
  let asked: string[] = [];
  before(async () => {
    server = http.createServer((request, response) => {
      asked.push(request.url!);
      if (request.url!.endsWith('.tar')) response.end(unpacked);
      else response.end('not the official file');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const archive = (): Archive => ({
    file: 'set.tar',
    folder: 'set',
    baseUrl: `${base}/official/`,
    md5: createHash('md5').update(unpacked).digest('hex'),
    unpack: true,
  });

  it('downloads, unpacks, and has nothing to do a second time', async () => {
    const root = temporaryFolder();
    asked = [];
    const steps: string[] = [];
    const where = await getArchive(archive(), { root, onStep: (text) => steps.push(text) });
    assert.equal(where, path.join(root, 'set'));
    assert.equal(readFileSync(path.join(where, 'images.txt'), 'utf8'), 'hello');
    assert.deepEqual(
      steps.map((step) => step.split(' ')[0]),
      ['downloading', 'unpacking'],
    );
    await getArchive(archive(), { root });
    assert.deepEqual(asked, ['/mirror/official/set.tar']);
  });

  it('takes another address from the option or the environment', async () => {
    asked = [];
    await getArchive(archive(), { root: temporaryFolder(), from: `${base}/option` });
    process.env['VITLAB_DATA_MIRROR'] = `${base}/environment/`;
    try {
      await getArchive(archive(), { root: temporaryFolder() });
      await assert.rejects(
        getDataset('cifar10', { root: temporaryFolder(), retryMs: 1 }),
        /c58f30108f718f92721af3b95e74349a/,
      );
    } finally {
      delete process.env['VITLAB_DATA_MIRROR'];
    }
    assert.deepEqual(asked, [
      '/mirror/option/set.tar',
      '/mirror/environment/set.tar',
      '/mirror/environment/cifar-10-python.tar.gz',
    ]);
    await assert.rejects(getArchive(archive(), { root: temporaryFolder(), from: 'file:///etc' }), UsageError);
  });

  it('checks a file that is already there', async () => {
    const root = temporaryFolder();
    writeFileSync(path.join(root, 'set.tar'), 'damaged');
    await assert.rejects(getArchive(archive(), { root }), /set\.tar has the md5 .*Remove it/);
    writeFileSync(path.join(root, 'set.tar'), unpacked);
    asked = [];
    await getArchive(archive(), { root });
    assert.deepEqual(asked, []);
  });

  it('refuses what cannot be downloaded', async () => {
    const root = temporaryFolder();
    await assert.rejects(getDataset('shapes10', { root }), /nothing to download/);
    await assert.rejects(getDataset('cifar11', { root }), /did you mean cifar10/);
    await assert.rejects(
      getDataset('cifar10', { root, archive: 'x.tgz' }),
      /it has cifar-10-python\.tar\.gz, cifar-10-binary\.tar\.gz/,
    );
  });
});
