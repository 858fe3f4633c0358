// The set-up with fake tools: what it does first, what it does not do twice, and how it comes back after a failure.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, it } from 'node:test';
import { FakeClone, isGone } from './clone.js';

const ops = 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/vitlab_ops.node';
const everything = ['npm ci', 'venv', 'pip lab', 'pip tensorflow-cpu', 'compile', 'compile ops', 'smoke'];
const addon = 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node';

let clones: FakeClone[] = [];
function newClone(): FakeClone {
  const clone = new FakeClone();
  clones.push(clone);
  return clone;
}
afterEach(() => {
  for (const clone of clones) clone.remove();
  clones = [];
});

describe('set-up', () => {
  it('installs everything, one line with its seconds for each step', async () => {
    const clone = newClone();
    const { code, out, err } = await clone.run();
    assert.deepEqual([code, err], [0, '']);
    assert.deepEqual(clone.calls(), everything);
    const lines = out.trimEnd().split('\n');
    assert.equal(lines.length, 6);
    for (const [index, line] of lines.entries()) {
      assert.match(line, new RegExp(`^\\[${index + 1}/6\\] \\S.* … \\d+\\.\\d s$`));
    }
    assert.equal(clone.read(addon), 'whole');
    assert.deepEqual(clone.flags(), []);
  });

  it('compiles for processors that multiply bfloat16 where the compiler can, and without where it cannot', async () => {
    for (const knows of [true, false]) {
      const clone = newClone();
      assert.equal((await clone.run({ env: knows ? {} : { FAKE_NO_AMX: '1' } })).code, 0);
      const log = clone.read('.vitlab/setup/ops.log');
      const can = process.arch === 'x64' && knows;
      assert.match(log, /dispatch\.cc/);
      assert.equal(log.includes('-DVITLAB_HALF'), can);
      assert.equal(log.includes('halfAttention.cc'), can);
      assert.equal(clone.read(ops), 'whole');
    }
  });

  it('is silent and does nothing the second time', async () => {
    const clone = newClone();
    await clone.run();
    clone.calls();
    assert.deepEqual(await clone.run({ args: [] }), { code: 0, out: '', err: '' });
    assert.deepEqual(clone.calls(), []);
  });

  it('needs no compiler and no npm once all is in place', async () => {
    const clone = newClone();
    await clone.run();
    rmSync(clone.at('bin/c++'));
    rmSync(clone.at('bin/npm'));
    assert.deepEqual(await clone.run(), { code: 0, out: '', err: '' });
  });

  it('renews what a changed lock file concerns, and what was built from that', async () => {
    const clone = newClone();
    await clone.run();
    clone.calls();
    clone.write('package-lock.json', '{ "changed": true }');
    assert.equal((await clone.run()).code, 0);
    assert.deepEqual(clone.calls(), ['npm ci', 'compile', 'compile ops', 'smoke']);
    clone.write('requirements/lab.txt', 'changed');
    assert.equal((await clone.run()).code, 0);
    assert.deepEqual(clone.calls(), ['venv', 'pip lab', 'smoke']);
  });

  it('renews what was removed or belongs to another Python', async () => {
    const clone = newClone();
    await clone.run();
    clone.calls();
    rmSync(clone.at(addon));
    assert.equal((await clone.run()).code, 0);
    assert.deepEqual(clone.calls(), ['compile', 'compile ops', 'smoke']);
    assert.equal((await clone.run({ env: { FAKE_PYTHON: '3.12.1' } })).code, 0);
    assert.deepEqual(clone.calls(), ['venv', 'pip lab', 'smoke']);
  });

  it('remembers --gpu until --auto or --cpu', {
    skip: process.platform !== 'linux' || process.arch !== 'x64',
  }, async () => {
    const clone = newClone();
    assert.match((await clone.run({ args: ['--gpu'] })).out, /with CUDA/);
    assert.ok(clone.calls().includes('pip tensorflow-gpu'));
    assert.equal((await clone.run({ args: [] })).out, '');
    assert.equal((await clone.run({ args: ['--cpu'] })).code, 0);
    assert.deepEqual(clone.calls(), ['pip tensorflow-cpu', 'compile', 'compile ops', 'smoke']);
    assert.equal(clone.read('.vitlab/tensorflow/tensorflow/libtensorflow_cc.so.2'), 'tensorflow-cpu');
    assert.ok(clone.has('.vitlab/setup/choice'));
    await clone.run({ args: ['--auto'] });
    assert.ok(!clone.has('.vitlab/setup/choice'));
  });

  it('says which option it does not know', async () => {
    const { code, err } = await newClone().run({ args: ['--fast'] });
    assert.equal(code, 2);
    assert.match(err, /^Unknown option --fast\.\n\nUsage: /);
  });
});

describe('a set-up that fails', () => {
  it('names the log, shows its end, and goes on from there the next time', async () => {
    const clone = newClone();
    const { code, out, err } = await clone.run({ env: { FAKE_FAIL: 'pip tensorflow-cpu' } });
    assert.equal(code, 1);
    assert.match(out, /\[3\/6\] TensorFlow \S+ … failed after \d+\.\d s\n$/);
    assert.match(err, /ended with exit code 1; the whole output is in .*tensorflow\.log\.\n.*fake .* went wrong/s);
    assert.doesNotMatch(err, /\n {4}at /);
    assert.match(clone.read('.vitlab/setup/tensorflow.log'), /--require-hashes/);
    assert.ok(!clone.has('.vitlab/tensorflow'));
    clone.calls();
    assert.equal((await clone.run()).code, 0);
    assert.deepEqual(clone.calls(), ['pip tensorflow-cpu', 'compile', 'compile ops', 'smoke']);
  });

  for (const [index, call] of everything.slice(0, -1).entries()) {
    it(`is picked up when it was killed during ${call}`, async () => {
      const clone = newClone();
      const { child, end } = clone.start({ env: { FAKE_HANG: call } });
      const tool = await clone.hanging();
      child.kill('SIGKILL');
      await end;
      assert.ok(!clone.has(call === 'compile ops' ? ops : addon));
      clone.calls();
      const { code, err } = await clone.run();
      assert.deepEqual([code, err], [0, '']);
      assert.ok(await isGone(tool), 'the tool that the dead set-up left at work was ended');
      const first = call === 'pip lab' ? everything.indexOf('venv') : index;
      assert.deepEqual(clone.calls(), everything.slice(first));
      assert.ok(!clone.has('node_modules/half') || clone.has('node_modules/.package-lock.json'));
      assert.equal(clone.read(addon), 'whole');
      assert.deepEqual(clone.flags(), []);
    });
  }

  it('ends the tool at work and frees the clone on SIGINT', async () => {
    const clone = newClone();
    const { child, end } = clone.start({ env: { FAKE_HANG: 'npm ci' } });
    const tool = await clone.hanging();
    child.kill('SIGINT');
    const { code, err } = await end;
    assert.equal(code, 130);
    assert.match(err, /stopped by SIGINT; run it again/);
    assert.ok(await isGone(tool));
    assert.deepEqual(clone.flags(), []);
    assert.equal((await clone.run()).code, 0);
  });
});

describe('two set-ups in one clone', () => {
  it('do the work once; the second waits and says so', async () => {
    const clone = newClone();
    const first = clone.start({ env: { FAKE_SLOW: '300' } });
    while (clone.flags().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await clone.run({ env: { FAKE_SLOW: '300' } });
    assert.equal((await first.end).code, 0);
    assert.equal(second.code, 0);
    assert.match(second.out, /^Another set-up is at work in this folder \(process \d+\); waiting for it to end\.\n$/);
    assert.deepEqual(clone.calls(), everything);
  });

  it('do not both begin when they start at the same moment', async () => {
    const clone = newClone();
    const all = await Promise.all([1, 2, 3, 4].map(() => clone.run({ env: { FAKE_SLOW: '50' } })));
    assert.deepEqual(
      all.map(({ code }) => code),
      [0, 0, 0, 0],
    );
    assert.deepEqual(clone.calls(), everything);
  });

  it('do not heed the flag of a process that is gone', async () => {
    const clone = newClone();
    clone.write('.vitlab/setup/lock/keep', '');
    writeFileSync(clone.at(`.vitlab/setup/lock/${process.pid}-1`), ''); // alive, but started at another time
    writeFileSync(clone.at('.vitlab/setup/lock/4194999-77'), '');
    const { code, out } = await clone.run();
    assert.equal(code, 0);
    assert.doesNotMatch(out, /Another set-up/);
    assert.deepEqual(clone.flags(), ['keep']);
  });
});
