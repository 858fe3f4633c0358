// The class token's attention, with and without prompts beside it.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { UsageError } from '../../src/errors.js';
import { classAttention, VisionTransformer } from '../../src/models/index.js';
import { tapped } from '../../src/nn/index.js';
import { tune } from '../../src/tuning/index.js';

before(() => startEngine());

const TINY = { imgSize: [8, 12] as [number, number], patchSize: 4, embedDim: 8, depth: 3, numHeads: 2, numClasses: 3 };
const images = () => tf.randomNormal([2, 8, 12, 3], 0, 1, 'float32', 1);

describe('attention of the class token', () => {
  it('is its row of each map, the mean over heads', async () => {
    const model = new VisionTransformer(TINY).initialize(0);
    const { context, taps } = tapped();
    model.forward(images(), context);
    const blocks = await classAttention(model, images());
    assert.equal(blocks.length, 3);
    for (const [i, { toItself, toInserted, toPatches }] of blocks.entries()) {
      const rows = tf
        .squeeze(tf.mean(tf.slice(taps[`attn.${i}`]!, [0, 0, 0, 0], [2, 2, 1, 7]), 1))
        .arraySync() as number[][];
      const got = [0, 1].map((b) => [toItself[b]!, ...toPatches.subarray(6 * b, 6 * b + 6)]);
      for (const [b, row] of rows.entries()) {
        for (const [t, value] of row.entries()) assert.ok(Math.abs(value - got[b]![t]!) < 1e-6);
      }
      assert.deepEqual([...toInserted], [0, 0]);
    }
    model.dispose();
  });

  for (const deep of [false, true]) {
    it(`is shared with ${deep ? 'deep' : 'shallow'} prompts, and adds up to 1`, async () => {
      const model = new VisionTransformer(TINY).initialize(0);
      tune(model, 'vpt', { numTokens: 4, deep }, { seed: 1 });
      for (const { toItself, toInserted, toPatches } of await classAttention(model, images())) {
        assert.equal(toPatches.length, 12);
        for (const b of [0, 1]) {
          const patches = toPatches.subarray(6 * b, 6 * b + 6).reduce((a, c) => a + c, 0);
          assert.ok(toInserted[b]! > 0.1 && toInserted[b]! < 0.9, `${toInserted[b]}`);
          assert.ok(Math.abs(toItself[b]! + toInserted[b]! + patches - 1) < 1e-5);
        }
      }
      model.dispose();
    });
  }

  it('leaves no tensor behind, and needs a class token', async () => {
    const model = new VisionTransformer(TINY).initialize(0);
    const input = images();
    const { numTensors } = tf.memory();
    await classAttention(model, input);
    assert.equal(tf.memory().numTensors, numTensors);
    const without = new VisionTransformer({ ...TINY, classToken: false, globalPool: 'avg' }).initialize(0);
    await assert.rejects(classAttention(without, input), UsageError);
  });
});
