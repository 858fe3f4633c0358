// The plain ViT: its start, its options, its refusals.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { resampleTimm } from '../../src/checkpoint/index.js';
import { RandomKey, startEngine, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { createModel, MocoViT, setInputSize, sinCosPositions, VisionTransformer } from '../../src/models/index.js';
import { Dropout, ForwardContext, recordOf, tensorDataOf, tensorOf } from '../../src/nn/index.js';
import { replaceModules, tune } from '../../src/tuning/index.js';

before(() => startEngine());

const TINY = { imgSize: 16, patchSize: 4, embedDim: 8, depth: 2, numHeads: 2, numClasses: 3 };

describe('VisionTransformer', () => {
  it('has a representation layer with tanh only where asked', () => {
    const model = new VisionTransformer({ ...TINY, representationSize: 6 }).initialize(0);
    assert.deepEqual(model.stateDict()['pre_logits.fc.weight']!.shape, [6, 8]);
    assert.deepEqual(model.stateDict()['head.weight']!.shape, [3, 6]);
    assert.deepEqual(model.forward(tf.zeros([2, 16, 16, 3])).shape, [2, 3]);
    const names = Object.keys(new VisionTransformer(TINY).initialize(0).stateDict());
    assert.ok(!names.some((name) => name.startsWith('pre_logits')));
  });

  it('drops whole branches in training only, more of them in later blocks', () => {
    const model = new VisionTransformer({ ...TINY, dropPathRate: 0.9 }).initialize(0);
    const images = tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 1);
    const run = (step: number): number[] => {
      const key = new RandomKey(tf.tensor1d([7, step], 'int32'));
      return [...model.forward(images, new ForwardContext(key)).dataSync()];
    };
    assert.deepEqual(run(0), run(1));
    model.train();
    assert.deepEqual(run(0), run(0));
    assert.notDeepEqual(run(0), run(1));
    assert.throws(() => model.forward(images), UsageError);
  });

  it('hands its context to every part, so that any of them may be replaced by one that is random', () => {
    const parts = /^(patch_embed\.proj|blocks\.\d\.(norm1|attn\.qkv|ls1|norm2|mlp\.act|ls2)|norm|fc_norm|head)$/;
    const names = [...new VisionTransformer(TINY).namedModules()]
      .map(([name]) => name)
      .filter((name) => parts.test(name));
    assert.equal(names.length, 16);
    for (const name of names) {
      const model = new VisionTransformer(TINY);
      replaceModules(model, (_, own) => (own === name ? new Dropout(0.5, true) : undefined));
      assert.throws(() => model.initialize(0).forward(tf.zeros([1, 16, 16, 3])), UsageError, name);
      try {
        model.forward(tf.zeros([1, 16, 16, 3]), new ForwardContext(new RandomKey(tf.tensor1d([7, 0], 'int32'))));
      } catch (error) {
        assert.ok(!(error instanceof UsageError), `${name} got no context`);
      }
    }
  });

  it('pools the mean of the patches without the class token', () => {
    const model = new VisionTransformer({ ...TINY, globalPool: 'avg' });
    const tokens = tf.concat([tf.fill([1, 1, 8], 100), tf.ones([1, 2, 8]), tf.zeros([1, 2, 8])], 1);
    assert.deepEqual([...model.pool(tokens).dataSync()], new Array(8).fill(0.5));
  });

  it('taps the tokens after each block', () => {
    const seen: Record<string, number[]> = {};
    const context = new ForwardContext(undefined, (name, value) => {
      seen[name] = value.shape;
    });
    new VisionTransformer(TINY).initialize(0).forward(tf.zeros([1, 16, 16, 3]), context);
    assert.deepEqual(seen['block.1'], [1, 17, 8]);
    assert.deepEqual(seen['attn.1'], [1, 2, 17, 17]);
  });

  it('refuses heads, patches and images that do not fit', () => {
    assert.throws(() => new VisionTransformer({ ...TINY, numHeads: 3 }), UsageError);
    assert.throws(() => new VisionTransformer({ ...TINY, patchSize: 17 }), ShapeError);
    assert.throws(() => new VisionTransformer(TINY).initialize(0).forward(tf.zeros([1, 16, 20, 3])), ShapeError);
  });
});

describe('setInputSize', () => {
  const table = (model: VisionTransformer) => tensorDataOf(model.posEmbed.value);

  it('resamples the position embedding and changes no other parameter', () => {
    const model = new VisionTransformer(TINY).initialize(0);
    const before = recordOf(model, () => true);
    setInputSize(model, [24, 20]);
    const { pos_embed: positions, ...others } = recordOf(model, () => true);
    const options = { oldGrid: [4, 4], newGrid: [6, 5] } as const;
    assert.deepEqual(positions, resampleTimm(before['pos_embed']!, options));
    delete before['pos_embed'];
    assert.deepEqual(others, { ...before });
    assert.deepEqual(model.config.imgSize, [24, 20]);
    assert.deepEqual(model.forward(tf.zeros([2, 24, 20, 3])).shape, [2, 3]);
    assert.throws(() => model.forward(tf.zeros([2, 16, 16, 3])), ShapeError);
  });

  it('is the model that is built at that size, with the resampled embedding', () => {
    const model = new VisionTransformer(TINY).initialize(0);
    const built = new VisionTransformer({ ...TINY, imgSize: 32 }).initialize(1);
    const images = tf.randomNormal([2, 32, 32, 3], 0, 1, 'float32', 1);
    const way = { interpolation: 'bilinear', antialias: false } as const;
    const positions = tensorOf(resampleTimm(table(model), { newGrid: [8, 8], ...way }));
    built.loadStateDict({ ...model.stateDict(), pos_embed: positions });
    setInputSize(model, 32, way);
    assert.deepEqual(model.forward(images).dataSync(), built.forward(images).dataSync());
  });

  it('keeps the embedding itself where the grid stays, and whether it trains', () => {
    const model = new VisionTransformer({ ...TINY, classToken: false, globalPool: 'avg' }).initialize(0);
    const { posEmbed } = model;
    setInputSize(model, 18);
    assert.equal(model.posEmbed, posEmbed);
    posEmbed.trainable = false;
    setInputSize(model, 8, { interpolation: 'nearest' });
    assert.deepEqual([model.posEmbed.shape, model.posEmbed.trainable, posEmbed.initialized], [[1, 4, 8], false, false]);
  });

  it('serves a model without values, and one that is tuned', () => {
    const empty = new VisionTransformer(TINY);
    setInputSize(empty, 24);
    assert.deepEqual([empty.posEmbed.shape, empty.posEmbed.initialized], [[1, 37, 8], false]);
    for (const [name, options] of [
      ['mona', { inner: 4 }],
      ['vpt', { numTokens: 3 }],
    ] as const) {
      const tuned = new VisionTransformer(TINY).initialize(0);
      tune(tuned, name, options, { seed: 1 });
      setInputSize(tuned, 24);
      assert.deepEqual(tuned.posEmbed.shape, [1, 37, 8], name);
      assert.deepEqual(tuned.forward(tf.zeros([1, 24, 24, 3]), new ForwardContext()).shape, [1, 3], name);
    }
  });

  it('computes a sine-cosine table anew', () => {
    const settings = { ...TINY, patchSize: 16, imgSize: 32, numClasses: 0 };
    for (const stem of ['patch', 'conv'] as const) {
      const model = new MocoViT({ ...settings, stem }).initialize(0);
      setInputSize(model, 48);
      assert.deepEqual(model.posEmbed.value.dataSync(), sinCosPositions([3, 3], 8));
      assert.equal(model.posEmbed.trainable, false);
      assert.deepEqual(model.forward(tf.zeros([1, 48, 48, 3])).shape, [1, 8]);
    }
    assert.throws(() => setInputSize(new MocoViT({ ...settings, stem: 'conv' }), 40), ShapeError);
  });

  it('leaves the model as it was where it refuses', () => {
    const model = new VisionTransformer(TINY).initialize(0);
    const refused = { interpolation: 'nearest', antialias: true } as const;
    assert.throws(() => setInputSize(model, 24, refused), UsageError);
    assert.throws(() => setInputSize(model, [16, 3]), ShapeError);
    assert.deepEqual([model.config.imgSize, model.patchEmbed.gridSize], [16, [4, 4]]);
    assert.deepEqual(model.forward(tf.zeros([1, 16, 16, 3])).shape, [1, 3]);
    assert.throws(() => setInputSize(createModel('swin_tiny_patch4_window7_224'), 32), {
      name: 'UsageError',
      message: /SwinTransformer does not change its image size/,
    });
  });
});
