// AdaptFormer's two forms: sizes as published, starts, dropout, names.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { createModel } from '../../src/models/index.js';
import type { ForwardContext, Module } from '../../src/nn/index.js';
import { applyTuning, countParameters, tune } from '../../src/tuning/index.js';
import { batch, contextOf, MODELS } from './models.js';

before(() => startEngine());

const logits = (model: Module, context?: ForwardContext): number[] =>
  tf.tidy(() => [...model.forward(batch().images, context).dataSync()]);

const MEBIBYTE = 2 ** 20;

describe('adaptformer', () => {
  it('trains 4.57 MB, 1.39 % of the ViT-B for CIFAR, without the last norm', () => {
    const model = createModel('vit_base_patch3_32', { numClasses: 10 });
    const { total, trainable } = tuneUninitialized(model, { trainNorm: false });
    assert.equal(trainable, 1197334);
    assert.equal(((4 * trainable) / MEBIBYTE).toFixed(2), '4.57');
    assert.equal(((100 * trainable) / total).toFixed(2), '1.39');
  });

  it('trains the last norm where its code is followed, and everything in the control group', () => {
    const published = tuneUninitialized(createModel('vit_base_patch3_32', { numClasses: 10 }), {});
    assert.deepEqual(published, { total: 86325526, trainable: 1198870 });
    const control = tuneUninitialized(createModel('vit_base_patch3_32'), { freeze: false });
    assert.deepEqual(control, { total: 86394736, trainable: 86394736 });
  });

  it('changes the output from the start', () => {
    const model = MODELS['vit']!().initialize(1);
    const plain = logits(model);
    tune(model, 'adaptformer', { bottleneck: 4 }, { seed: 1 });
    assert.notDeepEqual(logits(model), plain);
    model.dispose();
  });

  it('drops in training alone, or always', () => {
    const quiet = MODELS['vit with average pooling and layer scale']!;
    const build = (alwaysDrop: boolean): Module => {
      const model = quiet().initialize(1);
      tune(model, 'adaptformer', { dropout: 0.5, alwaysDrop }, { seed: 1 });
      return model;
    };
    const usual = build(false).eval();
    assert.deepEqual(logits(usual, contextOf(1)), logits(usual, contextOf(2)));
    usual.train();
    assert.notDeepEqual(logits(usual, contextOf(1)), logits(usual, contextOf(2)));
    const always = build(true).eval();
    assert.notDeepEqual(logits(always, contextOf(1)), logits(always, contextOf(2)));
    assert.throws(() => logits(always), /random key/);
  });
});

function tuneUninitialized(model: Module, options: object): { total: number; trainable: number } {
  applyTuning(model, 'adaptformer', options);
  return countParameters(model);
}

describe('adaptformer-official', () => {
  it('leaves the features as they are at the start', () => {
    for (const placement of ['parallel', 'sequential'] as const) {
      const model = createModel('vit_nano_patch4_32', {}, { seed: 1 });
      const features = (): number[] => tf.tidy(() => [...model.forwardFeatures(batch().images).dataSync()]);
      const plain = features();
      tune(model, 'adaptformer-official', { placement }, { seed: 1 });
      assert.deepEqual(features(), plain);
      model.dispose();
    }
  });

  it('saves the statistics of its head and moves them', () => {
    const model = MODELS['vit']!().initialize(1);
    tune(model, 'adaptformer-official', {}, { seed: 1 });
    const mean = model.stateDict()['head.0.running_mean']!;
    assert.ok(mean.dataSync().every((value) => value === 0));
    tf.tidy(() => model.train().forward(batch().images, contextOf(1)));
    assert.ok(mean.dataSync().some((value) => value !== 0));
    assert.equal(model.stateDict()['head.0.num_batches_tracked']!.dataSync()[0], 1);
    model.dispose();
  });
});
