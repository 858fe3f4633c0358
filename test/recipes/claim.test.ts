// Who may run in a run folder.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { claimRun, isClaimed } from '../../src/recipes/claim.js';
import { ROOT, temporaryFolder } from './support.js';

describe('a claim', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  /** A process that claims the folder, says so, and waits. */
  async function claimant(): Promise<{ kill: () => Promise<void> }> {
    const script = `
      require('tsx/cjs/api').register();
      require('./src/recipes/claim.ts').claimRun(${JSON.stringify(folder.dir)});
      console.log('claimed');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', script], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
    const kill = () => {
      child.kill('SIGKILL');
      return ended;
    };
    await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended]);
    return { kill };
  }

  it('is for one at a time, until it is given back', () => {
    const claim = claimRun(folder.dir);
    assert.equal(isClaimed(folder.dir), true);
    assert.throws(() => claimRun(folder.dir), {
      name: 'UsageError',
      message: new RegExp(`process ${process.pid} runs`),
    });
    claim.release();
    assert.equal(isClaimed(folder.dir), false);
    assert.deepEqual(readdirSync(folder.dir), []);
    claimRun(folder.dir).release();
  });

  it('of another process holds while that lives, and not after it was killed', async () => {
    const other = await claimant();
    try {
      assert.throws(() => claimRun(folder.dir), { name: 'UsageError', message: /is in use: process \d+/ });
    } finally {
      await other.kill();
    }
    assert.equal(isClaimed(folder.dir), false);
    claimRun(folder.dir).release();
    assert.deepEqual(readdirSync(folder.dir), []);
  });

  it('of a process whose id another one has by now holds nothing', () => {
    const owner = { pid: process.pid, start: 'an earlier boot 1' };
    writeFileSync(path.join(folder.dir, '.attempt-4'), JSON.stringify(owner));
    assert.equal(isClaimed(folder.dir), false);
    const claim = claimRun(folder.dir);
    assert.deepEqual(readdirSync(folder.dir).sort(), ['.attempt-4', '.attempt-5']);
    claim.release();
  });

  it('that is damaged holds nothing', () => {
    writeFileSync(path.join(folder.dir, '.attempt-1'), '');
    assert.equal(isClaimed(folder.dir), false);
    claimRun(folder.dir).release();
  });
});
