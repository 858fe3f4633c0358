// Replay against eager on a real training step: a small ViT with dropout and stochastic depth.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { Program, startEngine } from '../../src/engine/index.js';
import type { OptimizerConfig } from '../../src/train/index.js';
import { trainSteps } from '../support/trainSteps.js';

before(() => startEngine('tensorflow'));

const SGD: OptimizerConfig = { name: 'sgd', momentum: 0.9 };
// Adam divides a gradient by its own size: with the usual epsilon of 1e-8 one that happens to be hardly more than rounding
// error, whose last bits differ between the modes, makes whole steps
const ADAMW: OptimizerConfig = { name: 'adamw', weightDecay: 0.05, epsilon: 1e-4 };

/** The same steps in a process of their own. */
function inProcess(engine: string, steps: number): { losses: number[]; digest: string } {
  const script = path.join(__dirname, '..', 'support', 'trainSteps.ts');
  const env = { ...process.env, VITLAB_ENGINE: engine };
  const run = spawnSync(process.execPath, ['--import', 'tsx', script, String(steps)], { encoding: 'utf8', env });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

describe('20 training steps of a small ViT with dropout', () => {
  for (const optimizer of [SGD, ADAMW]) {
    it(`are the same replayed and eager, ${optimizer.name}`, () => {
      const eager = trainSteps({ optimizer, mode: 'eager', steps: 20 });
      const replay = trainSteps({ optimizer, mode: 'replay', steps: 20 });
      const largest = Math.max(...eager.weights.map(Math.abs));
      const error = Math.max(...eager.weights.map((value, i) => Math.abs(value - replay.weights[i]!)));
      assert.ok(error <= 1e-6 * largest, `${error} against the largest weight ${largest}`);
      assert.ok(eager.losses.at(-1)! < eager.losses[0]!, 'the loss falls');
      assert.equal(new Set(eager.losses).size, 20, 'every step has its own dropout');
    });
  }

  it('are bit-identical in two processes', () => {
    const [first, second] = [inProcess('tensorflow', 20), inProcess('tensorflow', 20)];
    assert.equal(second.digest, first.digest);
    assert.deepEqual(second.losses, first.losses);
  });

  for (const engine of ['wasm', 'cpu']) {
    it(`run eagerly on the ${engine} engine through the same calls, with the same dropout`, () => {
      const here = trainSteps({ optimizer: { name: 'adamw' }, mode: 'eager', steps: 3 }).losses;
      inProcess(engine, 3).losses.forEach((loss, i) => {
        assert.ok(Math.abs(loss - here[i]!) < 1e-4, `step ${i}: ${loss}, on tensorflow ${here[i]}`);
      });
    });
  }

  it('compute matrix products in bfloat16 when asked, and stay close', () => {
    const [exact, cast] = [
      trainSteps({ optimizer: SGD, mode: 'replay', steps: 20 }),
      trainSteps({ optimizer: SGD, mode: 'replay', precision: 'bf16', steps: 20 }),
    ];
    assert.notDeepEqual(cast.losses, exact.losses);
    cast.losses.forEach((loss, i) => {
      assert.ok(Math.abs(loss - exact.losses[i]!) < 0.02, `step ${i}: ${loss} and ${exact.losses[i]}`);
    });
  });
});

describe('a frozen backbone', () => {
  it('costs no gradient work below the lowest trainable parameter', () => {
    const products = (trains: (name: string) => boolean): number => {
      const program = new Program();
      trainSteps({ optimizer: SGD, mode: 'replay', steps: 1, trains, program });
      const count = program.operations().filter((op) => op === 'MatMul' || op === 'BatchMatMulV2').length;
      program.dispose();
      return count;
    };
    const [all, head, lastBlock] = [
      products(() => true),
      products((name) => name.startsWith('head')),
      products((name) => /^(head|blocks\.1\.mlp)/.test(name)),
    ];
    // forward: patches, 2 blocks of 4 linear layers and 2 products of attention, head
    const forward = 1 + 2 * (4 + 2) + 1;
    assert.equal(head, forward + 1, "the head's weight alone");
    assert.equal(lastBlock, forward + 2 + 2 + 1, 'head: weight and input; fc2: weight and input; fc1: weight');
    assert.equal(all, forward + 2 * (forward - 1) + 1, 'two products for each of the forward, one for the patches');
  });
});
