import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { VisionTransformer } from '../../src/models/index.js';
import { contrastiveLoss, Moco, mocoLoss, mocoStep } from '../../src/pretrain/index.js';
import { createOptimizer } from '../../src/train/index.js';
import { assertClose, randomTensor, values } from '../train/helpers.js';

before(() => startEngine('tensorflow'));

const encoder = (): VisionTransformer =>
  new VisionTransformer({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 1, numHeads: 2, mlpRatio: 2 });

const make = (): Moco => new Moco(encoder, { outDim: 4, mlpDim: 6, temperature: 0.2 });

const state = (model: Moco): Map<string, number[]> =>
  new Map(Object.entries(model.stateDict()).map(([name, value]) => [name, values(value)]));

const inputs = (step: number) => ({
  view1: randomTensor(2 * step, [12, 8, 8, 3]),
  view2: randomTensor(2 * step + 1, [12, 8, 8, 3]),
  learningRate: 0.001,
  step,
  rate: 0.1,
});

/** A few updates; the model, and the loss of each. */
function train(mode: 'eager' | 'replay', steps: number): { model: Moco; losses: number[] } {
  const model = make().initialize(3);
  const optimizer = createOptimizer({ name: 'adamw', epsilon: 1e-3 }, model.trainableParameters());
  const program = new Program({ mode }).define('train', mocoStep(model, optimizer, { clipNorm: 1 }));
  const losses = Array.from({ length: steps }, (_, i) => values(program.run('train', inputs(i + 1))['loss']!)[0]!);
  program.dispose();
  optimizer.dispose();
  return { model, losses };
}

describe('Moco', () => {
  it('starts with equal encoders and trains only the base and the predictor', () => {
    const model = make().initialize(1);
    const all = state(model);
    for (const [name, entries] of all) {
      if (!name.startsWith('base_encoder.')) continue;
      assert.deepEqual(all.get(name.replace('base_', 'momentum_')), entries, name);
    }
    model.setTrainable(() => true);
    const trained = [...model.trainableParameters().keys()];
    assert.ok(trained.length > 0 && trained.every((name) => /^(base_encoder|predictor)\./.test(name)));
  });

  it('moves the momentum encoder before it computes keys, and keeps its statistics its own', () => {
    const { model } = train('eager', 1);
    const start = state(make().initialize(3));
    const after = state(model);
    for (const [name, entries] of after) {
      if (!name.startsWith('momentum_encoder.') || /running|tracked/.test(name)) continue;
      // the base encoder had not learnt yet when the copy moved
      assertClose(entries, start.get(name)!, 1e-7);
    }
    const [own, base] = ['momentum_encoder', 'base_encoder'].map((side) => after.get(`${side}.head.1.running_mean`)!);
    assert.notDeepEqual(own, start.get('momentum_encoder.head.1.running_mean'));
    // both saw the same two views with the same weights, so the statistics are equal but not the same variable
    assertClose(own!, base!, 1e-6);
    assert.deepEqual(after.get('momentum_encoder.head.1.num_batches_tracked'), [2]);
    const { model: later } = train('eager', 3);
    const moved = state(later);
    assert.notDeepEqual(moved.get('momentum_encoder.cls_token'), start.get('momentum_encoder.cls_token'));
    assert.notDeepEqual(
      moved.get('momentum_encoder.head.1.running_mean'),
      moved.get('base_encoder.head.1.running_mean'),
    );
  });

  it('does the same in a replayed graph', () => {
    const [eager, replay] = [train('eager', 3), train('replay', 3)];
    assertClose(replay.losses, eager.losses, 1e-4);
    const expected = state(eager.model);
    for (const [name, entries] of state(replay.model)) assertClose(entries, expected.get(name)!, 1e-3);
  });
});

describe('contrastiveLoss', () => {
  const unit = (seed: number): Tensor => randomTensor(seed, [5, 8]);

  it('does not depend on the length of rows, and is least for each query at its own key', () => {
    const [q, k] = [unit(1), unit(2)];
    const [loss] = values(contrastiveLoss(q, k, 0.2));
    assertClose(values(contrastiveLoss(tf.mul(q, 7), tf.mul(k, 0.1), 0.2)), [loss!], 1e-5);
    assert.ok(values(contrastiveLoss(q, q, 0.2))[0]! < loss!);
  });

  it('is finite for a row of zeros, and symmetric in the views', () => {
    assert.ok(Number.isFinite(values(contrastiveLoss(tf.zeros([5, 8]), unit(1), 0.2))[0]));
    const [a, b, c, d] = [unit(1), unit(2), unit(3), unit(4)];
    assertClose(values(mocoLoss(a, b, c, d, 1)), values(mocoLoss(c, d, a, b, 1)), 1e-6);
  });
});
