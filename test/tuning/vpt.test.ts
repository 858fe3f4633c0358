// Visual prompt tuning: how many tokens there are, prompts of every block, maps, and that images stay apart.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { SwinTransformer, VisionTransformer } from '../../src/models/index.js';
import { type Module, tapped } from '../../src/nn/index.js';
import { type TuningOptions, tune } from '../../src/tuning/index.js';
import { batch, MODELS } from './models.js';

before(() => startEngine());

function prompted(name: string, options: TuningOptions<'vpt'> = {}): Module {
  const model = MODELS[name]!().initialize(1);
  tune(model, 'vpt', options, { seed: 1 });
  return model;
}

const logits = (model: Module, images: Tensor): Float32Array =>
  tf.tidy(() => Float32Array.from(model.eval().forward(images).dataSync()));

function assertNear(got: Float32Array, expected: Float32Array, tolerance = 1e-5): void {
  assert.equal(got.length, expected.length);
  for (const [i, value] of got.entries()) assert.ok(Math.abs(value - expected[i]!) < tolerance, `${value} at ${i}`);
}

/** Puts random values into a parameter. */
function change(model: Module, name: string): void {
  const parameter = new Map(model.namedParameters()).get(name)!;
  parameter.set(tf.randomNormal([...parameter.shape], 0, 1, 'float32', 3));
}

describe('vpt', () => {
  it('makes 202 tokens of 197', () => {
    const model = new VisionTransformer({ embedDim: 8, depth: 1, numHeads: 2, numClasses: 3 });
    tune(model, 'vpt', undefined, { seed: 1 });
    const { context, taps } = tapped();
    model.forward(tf.zeros([1, 224, 224, 3]), context);
    assert.deepEqual(taps['encoded']!.shape, [1, 202, 8]);
    assert.deepEqual(taps['attn.0']!.shape, [1, 2, 202, 202]);
    model.dispose();
  });

  it('taps the attention of every block of maps with the prompts in each window', () => {
    const model = prompted('swin', { numTokens: 3 });
    const { context, taps } = tapped();
    model.forward(batch().images, context);
    assert.deepEqual(taps['attn.0.1']!.shape, [3 * 4, 2, 19, 19]);
    assert.deepEqual(taps['attn.1.0']!.shape, [3, 4, 19, 19]);
    model.dispose();
  });

  for (const name of Object.keys(MODELS)) {
    for (const deep of [false, true]) {
      it(`keeps the images of a batch apart, ${deep ? 'deep' : 'shallow'}, in ${name}`, () => {
        const model = prompted(name, { deep });
        const { images } = batch();
        const alone = tf.split(images, 3).map((image) => [...logits(model, image)]);
        assertNear(logits(model, images), Float32Array.from(alone.flat()));
        model.dispose();
      });

      it(`lets every prompt matter, ${deep ? 'deep' : 'shallow'}, in ${name}`, () => {
        const model = prompted(name, { deep });
        const names = [...model.trainableParameters().keys()].filter((parameter) => parameter.startsWith('prompts.'));
        for (const parameter of names) {
          const before = logits(model, batch().images);
          change(model, parameter);
          assert.notDeepEqual(logits(model, batch().images), before, parameter);
        }
        model.dispose();
      });
    }
  }

  it('has a tensor of deep prompts for each width', () => {
    const shapes = (name: string): (readonly number[])[] =>
      [...prompted(name, { deep: true, numTokens: 2 }).namedParameters()]
        .filter(([parameter]) => parameter.startsWith('prompts.deep'))
        .map(([, { shape }]) => shape);
    assert.deepEqual(shapes('vit'), [[2, 2, 24]]);
    assert.deepEqual(shapes('swin'), [
      [1, 2, 8],
      [1, 2, 16],
    ]);
  });

  it('has no deep prompts for a first stage of one block', () => {
    const model = new SwinTransformer({
      ...{ imgSize: 16, windowSize: 4, embedDim: 8, depths: [1, 1], numHeads: [2, 2], numClasses: 3 },
    });
    tune(model, 'vpt', { deep: true }, { seed: 1 });
    const names = [...model.trainableParameters().keys()].filter((name) => name.startsWith('prompts.'));
    assert.deepEqual(names, ['prompts.embeddings', 'prompts.deep_embeddings.0']);
    assert.deepEqual(model.forward(tf.zeros([2, 16, 16, 3])).shape, [2, 3]);
    model.dispose();
  });

  it('starts within the bound of patches and prompts', () => {
    const model = prompted('vit', { numTokens: 500 });
    const values = model.stateDict()['prompts.embeddings']!.dataSync();
    const bound = Math.sqrt(6 / (3 * 8 * 8 + 24));
    const largest = Math.max(...values.map(Math.abs));
    assert.ok(largest <= bound && largest > 0.99 * bound, `${largest} and ${bound}`);
    model.dispose();
  });

  it('puts a fresh head in, or goes on with the one that is there', () => {
    const head = (options: TuningOptions<'vpt'>): number[] => {
      const model = prompted('vit', options);
      const values = [...model.stateDict()['head.weight']!.dataSync()];
      assert.ok(model.trainableParameters().has('head.weight'));
      model.dispose();
      return values;
    };
    const own = [...MODELS['vit']!().initialize(1).stateDict()['head.weight']!.dataSync()];
    assert.deepEqual(head({ head: 'keep' }), own);
    const fresh = head({});
    assert.notDeepEqual(fresh, own);
    const std = Math.sqrt(fresh.reduce((sum, value) => sum + value * value, 0) / fresh.length);
    assert.ok(std > 3 * Math.sqrt(own.reduce((sum, value) => sum + value * value, 0) / own.length));
  });

  it('refuses a projection where widths differ, and tuning twice', () => {
    assert.throws(() => prompted('swin', { project: 4 }), { name: 'UsageError', message: /8, 16.*project/ });
    const model = prompted('vit');
    const before = logits(model, batch().images);
    assert.throws(() => tune(model, 'vpt', {}, { seed: 1 }), /has a property prompts already/);
    assert.deepEqual(logits(model, batch().images), before);
  });
});
