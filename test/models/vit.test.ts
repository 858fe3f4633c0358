// The plain ViT: its start, its options, its refusals.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { RandomKey, startEngine, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { VisionTransformer } from '../../src/models/index.js';
import { Dropout, ForwardContext } from '../../src/nn/index.js';
import { replaceModules } from '../../src/tuning/index.js';

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
