// How kernels begin and end, and that nothing of them stays.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Kernel, KernelDiedError, KernelError } from '../../src/kernel/index.js';
import { alive, sleep, until } from '../support/processes.js';
import { tempDir } from '../support/tempDir.js';
import { ROOT, stream, withKernel } from './support.js';

describe('a kernel', () => {
  const place = tempDir();

  function spec(name: string, argv: string[]): string {
    mkdirSync(place(name), { recursive: true });
    writeFileSync(`${place(name)}/kernel.json`, JSON.stringify({ argv, display_name: name, language: 'typescript' }));
    return place(name);
  }

  it('that is killed is reported as dead, to those who wait and to those who come later', async () => {
    const connectionDir = place('killed');
    mkdirSync(connectionDir);
    await withKernel({ connectionDir }, async (kernel) => {
      const running = kernel.execute('console.log("begun"); await new Promise(() => {});', {
        onOutput: () => process.kill(kernel.pid!, 'SIGKILL'),
      });
      await assert.rejects(running, (error: KernelDiedError) => {
        assert.ok(error instanceof KernelDiedError);
        assert.equal(error.signal, 'SIGKILL');
        assert.equal(error.outputs.length, 1);
        return true;
      });
      assert.deepEqual(await kernel.died, { code: null, signal: 'SIGKILL' });
      await assert.rejects(kernel.execute('1'), KernelDiedError);
    });
    assert.deepEqual(readdirSync(connectionDir), []);
  });

  it('takes the processes it started with it when it is killed', async () => {
    const kernel = await Kernel.start();
    let child = 0;
    try {
      const code = 'const sleeper = require("node:child_process").spawn("sleep", ["60"]); console.log(sleeper.pid)';
      child = Number(stream(await kernel.execute(code)));
      assert.ok(alive(child));
    } finally {
      await kernel.kill();
    }
    await until(() => !alive(child), 'the end of the child');
  });

  it('that cannot start says why and leaves nothing', async () => {
    const connectionDir = place('failing');
    mkdirSync(connectionDir);
    const start = (specDir: string, readyTimeoutMs = 20_000) =>
      Kernel.start({ specDir, connectionDir, readyTimeoutMs });
    await assert.rejects(
      start(place('nowhere')),
      (error) => error instanceof KernelError && /kernelspec/.test(error.message),
    );
    await assert.rejects(start(spec('no-program', ['/no/such/program'])), /ENOENT/);
    await assert.rejects(
      start(spec('ends', ['node', '-e', 'console.error("no luck"); process.exit(3)'])),
      (error: KernelDiedError) => error.code === 3 && /exit code 3.*no luck/.test(error.message),
    );
    await assert.rejects(start(spec('silent', ['sleep', '60']), 500), /did not answer within 0\.5 s/);
    assert.deepEqual(readdirSync(connectionDir), []);
  });

  it('that is not wanted any more ends while it starts', async () => {
    const connectionDir = place('unwanted');
    mkdirSync(connectionDir);
    const stop = new AbortController();
    const starting = Kernel.start({ connectionDir, signal: stop.signal });
    await until(() => readdirSync(connectionDir).length > 0, 'a kernel that starts');
    stop.abort();
    await assert.rejects(starting, (error: KernelDiedError) => error.signal === 'SIGKILL');
    await assert.rejects(Kernel.start({ connectionDir, signal: AbortSignal.abort() }), KernelDiedError);
    assert.deepEqual(readdirSync(connectionDir), []);
  });

  it('interrupts a cell whose listener throws, and lives on', () =>
    withKernel({}, async (kernel) => {
      const onOutput = () => {
        throw new RangeError('no room for that');
      };
      const running = kernel.execute('console.log("begun"); await new Promise(() => {});', { onOutput });
      await assert.rejects(running, { name: 'RangeError', message: 'no room for that' });
      assert.equal(stream(await kernel.execute('console.log(1 + 1)')), '2\n');
    }));

  it('is ended, with its file, when its client is killed', async () => {
    const connectionDir = place('orphan');
    mkdirSync(connectionDir);
    const script = `
      const { Kernel } = require(${JSON.stringify(`${ROOT}/src/kernel/index.ts`)});
      Kernel.start({ connectionDir: ${JSON.stringify(connectionDir)} }).then(async (kernel) => {
        await kernel.execute('console.log("begun"); while (true) {}', { onOutput: () => console.log(kernel.pid) });
      });`;
    const client = spawn(process.execPath, ['--import', 'tsx', '-e', script], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let pid = 0;
    try {
      client.stdout.on('data', (text) => {
        pid ||= Number(text);
      });
      await until(() => pid > 0, 'a kernel that computes', 60_000);
      assert.ok(alive(pid));
      client.kill('SIGKILL');
      await until(() => !alive(pid), 'the end of the kernel');
      assert.deepEqual(readdirSync(connectionDir), []);
    } finally {
      client.kill('SIGKILL');
      if (pid > 0 && alive(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  it('ends with a client that ends without a word', async () => {
    const script = `
      const { Kernel } = require(${JSON.stringify(`${ROOT}/src/kernel/index.ts`)});
      Kernel.start().then((kernel) => { console.log(kernel.pid); setTimeout(() => process.exit(0), 100); });`;
    const client = spawn(process.execPath, ['--import', 'tsx', '-e', script], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    client.stdout.on('data', (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => client.once('close', resolve));
    const pid = Number(text);
    assert.ok(pid > 0);
    await until(() => !alive(pid), 'the end of the kernel');
  });

  it('lives on while it is idle', () =>
    withKernel({}, async (kernel) => {
      await kernel.execute('const x = 5;');
      await sleep(2500);
      assert.equal(stream(await kernel.execute('x')), '5\n');
    }));
});
