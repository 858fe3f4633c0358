// The protocol beyond cells: other requests, queues, signatures.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Dealer, Subscriber } from 'zeromq';
import { Kernel } from '../../src/kernel/index.js';
import { Wire } from '../../src/kernel/wire.js';
import { stream } from './support.js';

type Reply = Record<string, unknown>;

describe('the kernel', () => {
  let kernel: Kernel;
  let connectionDir: string;
  let runDir: string;
  let connection: Record<string, string | number>;
  before(async () => {
    connectionDir = mkdtempSync(path.join(tmpdir(), 'vitlab-connection-'));
    runDir = mkdtempSync(path.join(tmpdir(), 'vitlab-run-'));
    kernel = await Kernel.start({ connectionDir, env: { ...process.env, VITLAB_RUN_DIR: runDir } });
    connection = JSON.parse(readFileSync(path.join(connectionDir, readdirSync(connectionDir)[0]!), 'utf8'));
  });
  after(async () => {
    await kernel.shutdown();
    for (const folder of [connectionDir, runDir]) rmSync(folder, { recursive: true, force: true });
  });

  it('says what it is', async () => {
    const info = await kernel.request('kernel_info_request');
    assert.equal(info['status'], 'ok');
    assert.equal(info['protocol_version'], '5.3');
    const language = info['language_info'] as Reply;
    assert.equal(language['name'], 'typescript');
    assert.equal(language['file_extension'], '.ts');
    assert.match(String(language['version']), /^5\.0\./);
  });

  it('completes and inspects', async () => {
    await kernel.execute('/** Adds one. */\nfunction increment(n: number): number { return n + 1; }');
    const completed = await kernel.request('complete_request', { code: 'incre', cursor_pos: 5 });
    assert.deepEqual([completed['cursor_start'], completed['cursor_end']], [0, 5]);
    assert.ok((completed['matches'] as string[]).includes('increment'));
    const inspected = await kernel.request('inspect_request', { code: 'increment', cursor_pos: 3, detail_level: 0 });
    assert.equal(inspected['found'], true);
    assert.match(
      (inspected['data'] as Record<string, string>)['text/plain']!,
      /increment\(n: number\): number[\s\S]*Adds one\./,
    );
    const nothing = await kernel.request('inspect_request', { code: ' ', cursor_pos: 0, detail_level: 0 });
    assert.equal(nothing['found'], false);
  });

  it('completes and explains the lab of a notebook, with its docstrings', async () => {
    const opened = await kernel.execute("import { openLab } from './src/recipes/index.js';\nconst lab = openLab();");
    assert.equal(opened.status, 'ok');
    const complete = async (code: string) => {
      const { matches, cursor_start, cursor_end } = await kernel.request('complete_request', {
        code,
        cursor_pos: code.length,
      });
      return { matches, replaced: code.slice(Number(cursor_start), Number(cursor_end)) };
    };
    assert.deepEqual(await complete('lab.rec'), { matches: ['record'], replaced: 'rec' });
    assert.deepEqual((await complete('lab.nothing')).matches, []);
    const explain = async (code: string) => {
      const reply = await kernel.request('inspect_request', { code, cursor_pos: code.length - 1, detail_level: 0 });
      return (reply['data'] as Record<string, string>)['text/plain']!;
    };
    assert.match(
      await explain('lab.record'),
      /Lab\.record\(name: string, value: number\): void\n\nRecords a metric: [\s\S]+\n@throws VitlabError /,
    );
    assert.match(await explain('openLab'), /function openLab\(options\?: LabOptions\): Lab[\s\S]+Opens the results of/);
  });

  it('tells a cell which run it is, and that nobody watches', async () => {
    const tell =
      'const { cell, watched } = (globalThis as any).vitlabKernel; console.log(JSON.stringify([cell, watched]));';
    const [first, second] = [await kernel.execute(tell), await kernel.execute(tell)].map((result) =>
      JSON.parse(stream(result)),
    );
    assert.deepEqual([first[1], second[1]], [false, false]);
    assert.ok(first[0] !== second[0] && first[0] !== '');
  });

  it('completes while a cell runs, and stays busy', async () => {
    const running = kernel.execute('await new Promise((resolve) => setTimeout(resolve, 500)); console.log("end")');
    const completed = await kernel.request('complete_request', { code: 'Math.sq', cursor_pos: 7 });
    assert.ok((completed['matches'] as string[]).includes('sqrt'));
    assert.equal(stream(await running), 'end\n');
  });

  it('answers the smaller requests', async () => {
    assert.deepEqual(await kernel.request('history_request', { hist_access_type: 'tail' }), {
      status: 'ok',
      history: [],
    });
    assert.deepEqual(await kernel.request('comm_info_request'), { status: 'ok', comms: {} });
    assert.equal((await kernel.request('is_complete_request', { code: 'function f() {' }))['status'], 'incomplete');
    assert.equal((await kernel.request('is_complete_request', { code: 'f()' }))['status'], 'complete');
  });

  it('counts the cells', async () => {
    const first = await kernel.execute('1');
    const second = await kernel.execute('throw 1');
    assert.equal(second.executionCount, first.executionCount! + 1);
    const silent = { code: '1', silent: true, store_history: false };
    assert.equal((await kernel.request('execute_request', silent))['execution_count'], second.executionCount);
  });

  it('runs cells in the order they came, also after one has failed', async () => {
    const results = await Promise.all(
      ['console.log(1); throw 1;', 'console.log(2);', 'throw 3;', 'console.log(4);'].map((code) =>
        kernel.execute(code),
      ),
    );
    assert.deepEqual(
      results.map((result) => result.status),
      ['error', 'ok', 'error', 'ok'],
    );
    assert.deepEqual(
      results.map((result) => stream(result)),
      ['1\n', '2\n', '', '4\n'],
    );
  });

  it('with stop_on_error aborts what was sent before the failure could be known, and nothing else', async () => {
    const run = (code: string) => kernel.request('execute_request', { code, stop_on_error: true });
    const statuses = await Promise.all(['throw 1', '2', '3'].map(run));
    assert.deepEqual(
      statuses.map((reply) => reply['status']),
      ['error', 'aborted', 'aborted'],
    );
    assert.equal((await run('throw 1'))['status'], 'error');
    assert.equal((await run('2'))['status'], 'ok');
  });

  it('tells the error in its reply as well', async () => {
    const reply = await kernel.request('execute_request', { code: 'throw new TypeError("told")', stop_on_error: true });
    assert.equal(reply['ename'], 'TypeError');
    assert.equal(reply['evalue'], 'told');
    assert.ok(Array.isArray(reply['traceback']));
  });

  it('publishes busy, the input, the output, idle', async () => {
    const wire = new Wire(String(connection['key']));
    const shell = new Dealer({ linger: 0 });
    const iopub = new Subscriber({ linger: 0 });
    try {
      shell.connect(`tcp://127.0.0.1:${connection['shell_port']}`);
      iopub.connect(`tcp://127.0.0.1:${connection['iopub_port']}`);
      iopub.subscribe();
      iopub.receiveTimeout = 200;
      const next = async () => {
        const frames = await iopub.receive().catch(() => undefined);
        return frames && wire.parse(frames);
      };
      // A subscription takes effect at an unknown time: ask until something comes.
      do await shell.send(wire.request('kernel_info_request', {}).frames);
      while (!(await next()));
      const { id, frames } = wire.request('execute_request', { code: 'console.log("x")' });
      await shell.send(frames);
      const seen: string[] = [];
      while (seen.at(-1) !== 'status idle') {
        const message = await next();
        if (message?.parentId !== id) continue;
        seen.push(message.type === 'status' ? `status ${message.content['execution_state']}` : message.type);
        if (message.type === 'execute_input') assert.equal(message.content['code'], 'console.log("x")');
      }
      assert.deepEqual(seen, ['status busy', 'execute_input', 'stream', 'status idle']);
    } finally {
      shell.close();
      iopub.close();
    }
  });

  it('listens on loopback only, with a key that only the owner can read', () => {
    assert.equal(connection['ip'], '127.0.0.1');
    assert.ok(String(connection['key']).length >= 32);
    const [file] = readdirSync(connectionDir);
    assert.equal(statSync(path.join(connectionDir, file!)).mode & 0o777, 0o600);
  });

  it('ignores what is not signed with its key', async () => {
    const forger = new Wire('another key');
    const shell = new Dealer({ linger: 0 });
    try {
      shell.connect(`tcp://127.0.0.1:${connection['shell_port']}`);
      await shell.send(forger.request('execute_request', { code: 'globalThis.forged = true' }).frames);
      await shell.send(['not', 'a', 'message']);
      const result = await kernel.execute(
        'await new Promise((resolve) => setTimeout(resolve, 200)); console.log((globalThis as { forged?: boolean }).forged)',
      );
      assert.equal(stream(result), 'undefined\n');
    } finally {
      shell.close();
    }
  });

  it('ends when asked to, and leaves no file', async () => {
    await kernel.shutdown();
    assert.deepEqual(await kernel.died, { code: 0, signal: null });
    assert.deepEqual(readdirSync(connectionDir), []);
  });
});

describe('the wire', () => {
  it('reads what it writes, and nothing that was changed', () => {
    const wire = new Wire('key');
    const { frames } = wire.request('kernel_info_request', { a: 1 });
    const buffers = frames.map((frame) => Buffer.from(frame));
    assert.deepEqual(wire.parse([Buffer.from('identity'), ...buffers])?.content, { a: 1 });
    const changed = [...buffers.slice(0, -1), Buffer.from('{"a":2}')];
    assert.equal(wire.parse(changed), undefined);
    assert.equal(new Wire('other').parse(buffers), undefined);
    assert.equal(wire.parse(buffers.slice(0, 3)), undefined);
  });
});
