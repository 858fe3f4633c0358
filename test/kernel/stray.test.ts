// Errors that escape from cells: rejections nobody handles, throws in timers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Kernel } from '../../src/kernel/index.js';
import { until } from '../support/processes.js';
import { stream } from './support.js';

describe('an error that escapes', () => {
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start();
  });
  after(() => kernel.shutdown());

  it('fails the cell that leaves a rejection behind at once', async () => {
    const result = await kernel.execute('console.log("before");\nvoid Promise.reject(new Error("lost"));');
    assert.equal(result.status, 'error');
    assert.equal(result.error?.ename, 'Error');
    assert.equal(result.error.evalue, 'lost');
    assert.deepEqual(result.error.traceback, [
      'Error: lost',
      `    at Cell[${result.executionCount}]:2:21`,
      '(unhandled promise rejection while this cell was running)',
    ]);
    assert.equal(stream(result), 'before\n');
  });

  it('fails the cell that is running when a timer throws', async () => {
    const result = await kernel.execute(
      'setTimeout(() => { throw new TypeError("in a timer"); }, 10);\nawait new Promise((resolve) => setTimeout(resolve, 60_000));',
    );
    assert.equal(result.error?.ename, 'TypeError');
    assert.match(
      result.error.traceback.at(-1)!,
      /uncaught exception in a timer or callback while this cell was running/,
    );
    assert.equal((await kernel.execute('1')).status, 'ok');
  });

  it('fails the next cell, which does not run, where none is running', async () => {
    const origin = await kernel.execute('setTimeout(() => { throw new Error("late"); }, 200); console.log("done")');
    assert.equal(origin.status, 'ok');
    await until(() => stream(origin, 'stderr') !== '', 'the error below the cell');
    const next = await kernel.execute('console.log("must not run")');
    assert.equal(next.status, 'error');
    assert.equal(stream(next), '');
    assert.match(
      next.error!.evalue,
      new RegExp(`^late \\(.* after Cell\\[${origin.executionCount}\\] had ended; this cell was not run`),
    );
    assert.match(next.error!.traceback.join('\n'), new RegExp(`at .*Cell\\[${origin.executionCount}\\]:1:26`));
    assert.equal(stream(await kernel.execute('console.log("runs")')), 'runs\n');
  });

  it('is none where the cell handles it', async () => {
    const result = await kernel.execute(
      'await Promise.reject(new Error("handled")).catch(() => {});\ntry { await Promise.reject(1); } catch { console.log("caught"); }',
    );
    assert.equal(result.status, 'ok');
    assert.equal(stream(result), 'caught\n');
  });
});
