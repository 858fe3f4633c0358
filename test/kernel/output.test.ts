// What cells write and show.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Kernel, KernelDiedError, kernelDisplay } from '../../src/kernel/index.js';
import { until } from '../support/processes.js';
import { stream, withKernel } from './support.js';

const DISPLAY = "import { kernelDisplay } from './src/kernel/display.js';\nconst show = kernelDisplay()!;";

describe('output', () => {
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start();
    assert.equal((await kernel.execute(DISPLAY)).status, 'ok');
  });
  after(() => kernel.shutdown());

  it('loses none of 20,000 lines, and comes in few messages', async () => {
    let messages = 0;
    const result = await kernel.execute('for (let i = 0; i < 20_000; i++) console.log("line " + i);', {
      onOutput: () => messages++,
    });
    const lines = stream(result).split('\n');
    assert.equal(lines.length, 20_001);
    assert.equal(lines[19_999], 'line 19999');
    assert.equal(result.outputs.length, 1);
    assert.ok(messages < 500, `${messages} messages`);
  });

  it('loses none of 5,000 displays either', async () => {
    const result = await kernel.execute("for (let i = 0; i < 5000; i++) show.display({ 'text/plain': String(i) });");
    assert.equal(result.outputs.length, 5000);
  });

  it('keeps the order of text, errors and displays', async () => {
    const result = await kernel.execute(
      "console.log('a'); console.log('b'); console.error('c'); show.display({ 'text/plain': 'd' }); void process.stdout.write('e');",
    );
    assert.deepEqual(
      result.outputs.map((output) =>
        output.output_type === 'stream' ? `${output.name} ${output.text}` : output.output_type,
      ),
      ['stdout a\nb\n', 'stderr c\n', 'display_data', 'stdout e'],
    );
  });

  it('takes bytes, also when a character is cut in two, and calls back', async () => {
    const result = await kernel.execute(
      "const bytes = Buffer.from('ü€');\nprocess.stdout.write(bytes.subarray(0, 3));\nawait new Promise<void>((resolve) => process.stdout.write(bytes.subarray(3), () => resolve()));",
    );
    assert.equal(stream(result), 'ü€');
  });

  it('shows several representations of one thing at once, bytes as base64', async () => {
    const result = await kernel.execute(
      "show.display({ 'text/plain': 'figure', 'application/json': { a: [1] }, 'image/png': new Uint8Array([1, 2, 3]) }, { 'image/png': { width: 3 } });0",
    );
    assert.deepEqual(result.outputs[0], {
      output_type: 'display_data',
      data: { 'text/plain': 'figure', 'application/json': { a: [1] }, 'image/png': 'AQID' },
      metadata: { 'image/png': { width: 3 } },
    });
  });

  it('updates in place, also from a later cell', async () => {
    const first = await kernel.execute(
      "const id = show.display({ 'text/plain': '0 %' });\nshow.updateDisplay(id, { 'text/plain': '50 %' });",
    );
    const later = await kernel.execute("show.updateDisplay(id, { 'text/plain': '100 %' });");
    assert.deepEqual(first.outputs, [{ output_type: 'display_data', data: { 'text/plain': '100 %' }, metadata: {} }]);
    assert.deepEqual(later.outputs, []);
  });

  it('can be cleared, at once or when the next output comes', async () => {
    const atOnce = await kernel.execute("console.log('gone'); show.clearOutput();");
    assert.deepEqual(atOnce.outputs, []);
    const waiting = await kernel.execute("console.log('stays'); show.clearOutput(true);");
    assert.equal(stream(waiting), 'stays\n');
    const replaced = await kernel.execute("console.log('old'); show.clearOutput(true); console.log('new');");
    assert.equal(stream(replaced), 'new\n');
  });

  it('of timers after its end still belongs to the cell', async () => {
    const result = await kernel.execute("setTimeout(() => console.log('later'), 50); console.log('now')");
    await until(() => stream(result) === 'now\nlater\n', 'the text of the timer');
  });

  it("works through tslab's own display too", async () => {
    const result = await kernel.execute("import { display } from 'tslab';\ndisplay.html('<b>x</b>');");
    assert.deepEqual(result.outputs, [
      { output_type: 'display_data', data: { 'text/html': '<b>x</b>' }, metadata: {} },
    ]);
  });

  it('comes while a cell computes without a pause', async () => {
    const seen: string[] = [];
    await kernel.execute(
      "console.log('begun'); for (const end = Date.now() + 400; Date.now() < end; ); console.log('half'); for (const end = Date.now() + 400; Date.now() < end; );",
      { onOutput: (output) => seen.push(output.output_type === 'stream' ? output.text : '?') },
    );
    assert.deepEqual(seen, ['begun\n', 'half\n']);
  });

  it('is undefined outside of a kernel', () => assert.equal(kernelDisplay(), undefined));
});

describe('output before process.exit', () => {
  it('still arrives', () =>
    withKernel({}, async (kernel) => {
      await assert.rejects(
        kernel.execute("console.log('one'); console.log('last words'); process.exit(7);"),
        (error: KernelDiedError) => {
          assert.ok(error instanceof KernelDiedError);
          assert.equal(error.code, 7);
          assert.equal(error.exitCode, 5);
          assert.match(error.message, /exit code 7/);
          assert.deepEqual(error.outputs, [{ output_type: 'stream', name: 'stdout', text: 'one\nlast words\n' }]);
          return true;
        },
      );
    }));
});
