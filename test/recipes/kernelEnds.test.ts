// What is made of kernels that die or hang.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { memoryOf } from '../../src/memory.js';
import { deathOf, saysOutOfMemory } from '../../src/recipes/kernelDeath.js';
import { groupCpuSeconds, processesWith, startOf } from '../../src/recipes/procfs.js';
import { StallWatch } from '../../src/recipes/stallWatch.js';

const GB = 1e9;
const SAMPLE = { used: 2 * GB, limit: 16 * GB, oomKillsBefore: 3, oomKillsNow: 3 };

describe('the death of a kernel', () => {
  it('is one for want of memory where the system has killed it for that', () => {
    const killed = { message: 'The kernel ended by signal SIGKILL.', signal: 'SIGKILL' as const };
    assert.deepEqual(deathOf(killed, SAMPLE), {
      status: 'died',
      error: 'Something outside killed the kernel (SIGKILL); it used 2.0 GB of 16.0 GB.',
    });
    for (const sample of [
      { ...SAMPLE, oomKillsNow: 4 },
      { ...SAMPLE, used: 15 * GB },
    ]) {
      const { status, error } = deathOf(killed, sample);
      assert.equal(status, 'out-of-memory');
      assert.match(error, /The system killed the kernel for want of memory: it used .* of 16\.0 GB/);
    }
  });

  it('is one for want of memory where its last words say so', () => {
    const said =
      'It said: <--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit - JavaScript heap out of memory\n 1: 0xb';
    const { status, error } = deathOf(
      { message: `The kernel ended by signal SIGABRT. ${said}`, signal: 'SIGABRT' },
      SAMPLE,
    );
    assert.equal(status, 'out-of-memory');
    assert.match(error, /ran out of memory \(it used 2\.0 GB of 16\.0 GB\): FATAL ERROR: Reached heap limit/);
    assert.doesNotMatch(error, /\n/);
  });

  it('is a death like any other without such signs', () => {
    const message = 'The kernel ended with exit code 7.';
    assert.deepEqual(deathOf({ message, signal: null }, { ...SAMPLE, oomKillsNow: 4 }), {
      status: 'died',
      error: message,
    });
  });

  it('knows the words of V8, C++ and TensorFlow', () => {
    for (const text of [
      'RangeError: Array buffer allocation failed',
      "terminate called after throwing an instance of 'std::bad_alloc'",
      'OOM when allocating tensor with shape[1000000,1000000] and type float',
    ]) {
      assert.ok(saysOutOfMemory(text), text);
    }
    assert.equal(saysOutOfMemory('TypeError: x is not a function'), false);
  });
});

describe('a cell that hangs', () => {
  let now = 0;
  let cpu: number | undefined = 0;
  const watch = () => {
    [now, cpu] = [0, 0];
    return new StallWatch({ stallMs: 10_000, now: () => now, cpuSeconds: () => cpu });
  };
  /** Lets time pass in looks of five seconds; gives what the last one said. */
  const pass = (stall: StallWatch, seconds: number, share: number) => {
    let said: string | undefined;
    for (let gone = 0; gone < seconds; gone += 5) {
      now += 5000;
      if (cpu !== undefined) cpu += 5 * share;
      said ??= stall.look();
    }
    return said;
  };

  it('says and computes nothing', () => {
    assert.match(pass(watch(), 10, 0.005)!, /neither said nor computed anything for 10 s/);
  });

  it('or computes without a word for much longer', () => {
    const stall = watch();
    assert.equal(pass(stall, 355, 1), undefined);
    assert.match(pass(stall, 5, 1)!, /computed for 6 min 00 s without a word/);
  });

  it('does not while it says something', () => {
    const stall = watch();
    for (let i = 0; i < 20; i++) {
      assert.equal(pass(stall, 5, 0), undefined);
      stall.heard();
    }
  });

  it('counts as computing where the system does not tell', () => {
    const stall = watch();
    cpu = undefined;
    assert.equal(pass(stall, 355, 0), undefined);
    assert.match(pass(stall, 5, 0)!, /computed/);
  });
});

describe('what Linux tells', () => {
  it('of this process', () => {
    const { now, peak } = memoryOf(process.pid)!;
    assert.ok(now > 10e6 && peak >= now);
    assert.equal(startOf(process.pid), startOf(process.pid));
    assert.notEqual(startOf(process.pid), startOf(process.ppid));
  });

  it('of processes by what is in their environment', () => {
    const value = `here ${process.pid}`;
    const child = spawn('sleep', ['60'], { env: { ...process.env, VITLAB_TEST_MARK: value } });
    try {
      assert.deepEqual(processesWith('VITLAB_TEST_MARK', value), [child.pid]);
      assert.deepEqual(processesWith('VITLAB_TEST_MARK', 'here'), []);
    } finally {
      child.kill();
    }
  });

  it('of a process that there is not', () => {
    assert.deepEqual(
      [memoryOf(2 ** 22 + 1), startOf(2 ** 22 + 1), groupCpuSeconds(2 ** 22 + 1)],
      [undefined, undefined, 0],
    );
  });
});
