// Interrupts: whatever a cell does, it ends, and the kernel and its variables stay.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Kernel, KernelTimeoutError } from '../../src/kernel/index.js';
import { sleep } from '../support/processes.js';
import { stream } from './support.js';

describe('an interrupt', () => {
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start();
    await kernel.execute('const kept = { value: 7 };');
  });
  after(() => kernel.shutdown());

  /** Runs a cell that prints `go` when it has begun, and interrupts it then. */
  async function interrupted(code: string, times = 1) {
    const timers: NodeJS.Timeout[] = [];
    const result = await kernel.execute(code, {
      onOutput: (output) => {
        if (output.output_type !== 'stream' || !output.text.includes('go')) return;
        kernel.interrupt();
        for (let i = 1; i < times; i++) timers.push(setTimeout(() => kernel.interrupt(), 1500 * i));
      },
    });
    for (const timer of timers) clearTimeout(timer);
    assert.equal(result.status, 'error', JSON.stringify(result));
    assert.equal(result.error?.ename, 'KeyboardInterrupt');
    assert.deepEqual(result.outputs.at(-1), { output_type: 'error', ...result.error });
    const next = await kernel.execute('kept.value');
    assert.equal(stream(next), '7\n', 'the kernel goes on and has its variables');
    return result;
  }

  const stops = (code: string, times?: number) => async () => {
    await interrupted(code, times);
  };

  it('stops an endless loop', stops('console.log("go"); while (true) {}'));

  it(
    'stops an endless loop that catches everything',
    stops('console.log("go"); while (true) { try { while (true) {} } catch {} }'),
  );

  it('stops waiting for what never comes', stops('console.log("go"); await new Promise(() => {});'));

  it(
    'stops an endless asynchronous loop',
    stops('console.log("go"); while (true) await new Promise((resolve) => setTimeout(resolve, 1));'),
  );

  it('stops a child process that the cell waits for', async () => {
    const code = 'require("node:child_process").execSync("sleep 60", { stdio: "ignore" });';
    // A signal that comes before the child has begun does not reach it: the user tries again.
    const timer = setInterval(() => kernel.interrupt(), 500);
    const result = await kernel.execute(code).finally(() => clearInterval(timer));
    // The signal ends the child as well; where that is noticed first, the cell fails by it.
    assert.equal(result.status, 'error');
    await sleep(300);
    assert.equal(stream(await kernel.execute('kept.value')), '7\n');
  });

  it(
    'stops a loop that began after an await and never yields, by force',
    stops('await new Promise((resolve) => setTimeout(resolve, 10)); console.log("go"); while (true) {}', 2),
  );

  it('tells those who listen, and waits for them to bring the cell to its end', async () => {
    const result = await interrupted(
      [
        "import { onKernelInterrupt } from './src/kernel/display.js';",
        'let stop = false;',
        'const off = onKernelInterrupt(() => { stop = true; });',
        // What runs before the first wait is stopped at once, without a word to anyone.
        'await new Promise((resolve) => setTimeout(resolve, 5));',
        'console.log("go");',
        'while (!stop) await new Promise((resolve) => setTimeout(resolve, 5));',
        'await new Promise((resolve) => setTimeout(resolve, 300));',
        'console.log("checkpoint written");',
        'off();',
      ].join('\n'),
    );
    assert.equal(stream(result), 'go\ncheckpoint written\n');
  });

  it(
    'does not wait for listeners when it is repeated',
    stops(
      'import { onKernelInterrupt as listen } from "./src/kernel/display.js"; const end = listen(() => {}); await new Promise((resolve) => setTimeout(resolve, 5)); console.log("go"); await new Promise(() => {});',
      2,
    ),
  );

  it('works beside listeners of SIGINT, which are called', async () => {
    await kernel.execute('end(); let heard = 0; process.on("SIGINT", () => { heard++; });');
    await interrupted('console.log("go"); while (true) {}');
    await interrupted('console.log("go"); await new Promise(() => {});');
    assert.equal(stream(await kernel.execute('heard')), '2\n');
    await kernel.execute('process.removeAllListeners("SIGINT"); 0');
    await interrupted('console.log("go"); await new Promise(() => {});');
  });

  it('between cells does nothing', async () => {
    kernel.interrupt();
    await sleep(300);
    assert.equal(
      stream(await kernel.execute('await new Promise((resolve) => setTimeout(resolve, 300)); kept.value')),
      '7\n',
    );
  });

  it('is what a cell gets that runs too long; its outputs are kept', async () => {
    await assert.rejects(
      kernel.execute('console.log("begun"); while (true) {}', { timeoutMs: 1000 }),
      (error: KernelTimeoutError) => {
        assert.ok(error instanceof KernelTimeoutError);
        assert.equal(error.exitCode, 4);
        assert.match(error.message, /longer than 1 s/);
        assert.equal(error.outputs[0]?.output_type, 'stream');
        return true;
      },
    );
    assert.equal(stream(await kernel.execute('kept.value')), '7\n');
  });
});
