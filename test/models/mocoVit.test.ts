// What makes a ViT MoCo v3's: the fixed table, the frozen projection, the stem, the start values.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { ConvStem, MocoViT, sinCosPositions } from '../../src/models/index.js';

before(() => startEngine());

const TINY = { imgSize: 32, patchSize: 16, embedDim: 32, depth: 1, numHeads: 4, numClasses: 5 };

describe('sinCosPositions', () => {
  it('is zero for the class token and [0, 1, 0, 1] by quarters for the first patch', () => {
    const table = sinCosPositions([2, 2], 8);
    assert.deepEqual([...table.slice(0, 16)], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1]);
  });

  it('puts the first coordinate before the second', () => {
    const table = sinCosPositions([2, 2], 4);
    const near = (got: number, expected: number): void => assert.ok(Math.abs(got - expected) < 1e-6);
    // tokens 1 and 2 after the class token: coordinates [0, 1] and [1, 0]
    [0, 1, Math.sin(1), Math.cos(1)].forEach((value, i) => {
      near(table[8 + i]!, value);
    });
    [Math.sin(1), Math.cos(1), 0, 1].forEach((value, i) => {
      near(table[12 + i]!, value);
    });
  });

  it('refuses channels that are no multiple of 4', () => {
    assert.throws(() => sinCosPositions([2, 2], 6), UsageError);
  });
});

describe('MocoViT', () => {
  it('refuses to go without the class token, for which its table has a place', () => {
    assert.throws(() => new MocoViT({ ...TINY, classToken: false }), UsageError);
  });

  it('never trains the position embedding', () => {
    const model = new MocoViT(TINY).initialize(0).setTrainable(() => true);
    assert.ok(!model.trainableParameters().has('pos_embed'));
    assert.deepEqual([...model.posEmbed.value.dataSync()], [...sinCosPositions([2, 2], 32)]);
  });

  it('stops the gradient of a patch projection, and of nothing with a stem', () => {
    const frozen = (options: object): string[] =>
      [...new MocoViT({ ...TINY, stopGradConv1: true, ...options }).namedParameters()]
        .filter(([, { trainable }]) => !trainable)
        .map(([name]) => name);
    assert.deepEqual(frozen({}).sort(), ['patch_embed.proj.bias', 'patch_embed.proj.weight', 'pos_embed']);
    assert.deepEqual(frozen({ stem: 'conv' }), ['pos_embed']);
  });

  it('starts query, key and value as three matrices', () => {
    const model = new MocoViT({ ...TINY, embedDim: 64 }).initialize(0);
    const largest = (name: string): number => Math.max(...model.stateDict()[name]!.dataSync().map(Math.abs));
    const near = (name: string, bound: number): void => {
      assert.ok(largest(name) <= bound && largest(name) > 0.98 * bound, `${name}: ${largest(name)}, bound ${bound}`);
    };
    near('blocks.0.attn.qkv.weight', Math.sqrt(6 / 128));
    near('blocks.0.mlp.fc1.weight', Math.sqrt(6 / (64 + 256)));
    near('patch_embed.proj.weight', Math.sqrt(6 / (3 * 16 * 16 + 64)));
    assert.equal(largest('blocks.0.attn.qkv.bias'), 0);
  });
});

describe('ConvStem', () => {
  it('halves the image four times', () => {
    const stem = new ConvStem([48, 32], 16, 3, 16).initialize(0);
    assert.deepEqual([...stem.gridSize], [3, 2]);
    assert.deepEqual(stem.forward(tf.zeros([2, 48, 32, 3])).shape, [2, 6, 16]);
  });

  it('refuses other patches, channels and images', () => {
    assert.throws(() => new ConvStem(32, 8, 3, 16), UsageError);
    assert.throws(() => new ConvStem(32, 16, 3, 12), UsageError);
    assert.throws(() => new ConvStem(40, 16, 3, 16), ShapeError);
    assert.throws(() => new ConvStem(32, 16, 3, 16).initialize(0).forward(tf.zeros([1, 48, 32, 3])), ShapeError);
  });
});
