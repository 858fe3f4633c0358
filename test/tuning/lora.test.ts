// LoRA: merging and taking out again, export to a plain model, options.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import type { Module } from '../../src/nn/index.js';
import { LoraLinear, mergedState, mergeLora, type TuningOptions, tune, unmergeLora } from '../../src/tuning/index.js';
import { batch, descend, MODELS, snapshot } from './models.js';

before(() => startEngine());

const ALL = ['qkv', 'proj', 'fc1', 'fc2'];

const logits = (model: Module): Float32Array =>
  tf.tidy(() => Float32Array.from(model.eval().forward(batch().images).dataSync()));

function assertNear(got: Float32Array, expected: Float32Array, tolerance = 1e-5): void {
  assert.equal(got.length, expected.length);
  for (const [i, value] of got.entries()) assert.ok(Math.abs(value - expected[i]!) < tolerance, `${value} at ${i}`);
}

/** A model whose updates are no longer zero. */
function trained(name: string, options: TuningOptions<'lora'> = { targets: ALL, r: 2 }): Module {
  const model = MODELS[name]!().initialize(1);
  tune(model, 'lora', options, { seed: 1 });
  for (let step = 1; step <= 3; step++) descend(model, step);
  return model;
}

describe('lora', () => {
  it('leaves the output as it is at the start', () => {
    const model = MODELS['vit']!().initialize(1);
    const plain = logits(model);
    tune(model, 'lora', { targets: ALL }, { seed: 1 });
    assert.deepEqual(logits(model), plain);
    model.dispose();
  });

  for (const name of Object.keys(MODELS)) {
    it(`merges, and takes out again to the bit, in ${name}`, () => {
      const model = trained(name);
      const [start, before] = [logits(model), snapshot(model)];
      mergeLora(model);
      mergeLora(model);
      assert.notDeepEqual(snapshot(model), before);
      assertNear(logits(model), start);
      unmergeLora(model);
      assert.deepEqual(snapshot(model), before);
      assert.deepEqual(logits(model), start);
      model.dispose();
    });

    it(`gives the state of a plain model that computes the same as ${name}`, () => {
      const model = trained(name);
      const tensors = Object.entries(mergedState(model)).map(([key, data]) => {
        return [key, tf.tensor(Float32Array.from(data.data, Number), data.shape, 'float32')] as const;
      });
      const plain = MODELS[name]!();
      plain.loadStateDict(Object.fromEntries(tensors));
      assertNear(logits(plain), logits(model));
      mergeLora(model);
      assert.deepEqual(mergedState(model), mergedState(model));
      model.dispose();
      plain.dispose();
    });
  }

  it('scales by alpha / r, or by alpha / √r', () => {
    for (const [rsLora, scaling] of [
      [false, 4],
      [true, 8],
    ] as const) {
      const model = MODELS['vit']!();
      tune(model, 'lora', { r: 4, alpha: 16, rsLora }, { seed: 1 });
      assert.equal((model.get('blocks.0.attn.qkv') as LoraLinear).scaling, scaling);
      model.dispose();
    }
  });

  it('updates only the chosen layers of the blocks', () => {
    const model = MODELS['swin']!();
    tune(model, 'lora', { targets: ['proj', 'fc2'] }, { seed: 1 });
    const wrapped = [...model.namedModules()].filter(([, module]) => module instanceof LoraLinear);
    assert.deepEqual(
      wrapped.map(([name]) => name),
      ['0.blocks.0', '0.blocks.1', '1.blocks.0'].flatMap((block) => [
        `layers.${block}.attn.proj`,
        `layers.${block}.mlp.fc2`,
      ]),
    );
    model.dispose();
  });

  it('refuses layers that are not there, and merging without updates', () => {
    const model = MODELS['vit']!();
    assert.throws(
      () => tune(model, 'lora', { targets: ['qkv', 'gate'] }, { seed: 1 }),
      /no linear layer named gate, only qkv/,
    );
    assert.ok(!('blocks.0.attn.qkv.lora_A.weight' in model.initialize(1).stateDict()));
    assert.throws(() => mergeLora(MODELS['vit']!()), /no LoRA layers/);
  });
});
