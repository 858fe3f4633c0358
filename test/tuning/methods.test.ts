// Every registered method on every model: exactly the named tensors train, and all others stay as they are.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, tf } from '../../src/engine/index.js';
import { UsageError } from '../../src/errors.js';
import { createModel, modelEntry, modelNames, VisionTransformer } from '../../src/models/index.js';
import type { Module } from '../../src/nn/index.js';
import { createOptimizer, trainStep } from '../../src/train/index.js';
import {
  applyTuning,
  countParameters,
  type TuningName,
  tune,
  tuningMethod,
  tuningMethods,
} from '../../src/tuning/index.js';
import { batch, descend, MODELS, snapshot } from './models.js';

before(() => startEngine());

const HEAD = 'head(\\.\\w+)*\\.\\w+';

/** What trains, as an expression that each name matches as a whole. */
const TRAINS: Record<TuningName, RegExp> = {
  full: /.*/,
  linear: RegExp(`^${HEAD}$`),
  bitfit: RegExp(`^(.*\\.bias|${HEAD})$`),
  adaptformer: RegExp(`^(${HEAD}|(fc_)?norm\\.\\w+|.*blocks\\.\\d+\\.((down|up)_proj\\.(weight|bias)|scale))$`),
  'adaptformer-official': RegExp(`^(${HEAD}|.*blocks\\.\\d+\\.adaptmlp\\.(down|up)_proj\\.(weight|bias))$`),
  lora: RegExp(`^(${HEAD}|.*\\.attn\\.qkv\\.lora_[AB]\\.weight)$`),
  mona: RegExp(`^(${HEAD}|.*blocks\\.\\d+\\.my_module_[12]\\..*)$`),
  vpt: RegExp(`^(${HEAD}|prompts\\.embeddings)$`),
};

/** How many parameters train in the first model, counted by hand: 24 channels, 3 blocks, 5 classes, head 125. */
const COUNTS: Record<TuningName, number> = {
  full: 24 + 17 * 24 + (192 * 24 + 24) + 3 * (96 + 25 * 72 + 25 * 24 + 25 * 48 + 49 * 24) + 48 + 125,
  linear: 125,
  bitfit: 149 + 3 * (24 + 72 + 24 + 24 + 48 + 24) + 24,
  adaptformer: 125 + 48 + 3 * (24 * 64 + 64 + 64 * 24 + 24 + 1),
  'adaptformer-official': 125 + 3 * (24 * 64 + 64 + 64 * 24 + 24),
  lora: 125 + 3 * 8 * (24 + 72),
  mona: 125 + 6 * (4 * 24 + 2 * 24 * 64 + 64 + 24 + 64 * (9 + 25 + 49 + 3) + 64 * 65),
  vpt: 125 + 5 * 24,
};

/**
 * What may end up where it started: a fresh Mona's norm, since its steps are gamma = 1e-6 times too small for float32,
 * and convolutions behind the last attention, which the class token does not see.
 */
const MAY_STAY: Partial<Record<TuningName, RegExp>> = { mona: /my_module_[12]\.(norm|adapter_conv)\./ };

/** What trains of a model by these names, without what its architecture fixes. */
function expectedOf(model: Module, name: TuningName): string[] {
  const all = [...model.namedParameters()];
  const before = all.map(([, parameter]) => parameter.trainable);
  model.setTrainable(() => true);
  const expected = all.filter(([key, parameter]) => TRAINS[name].test(key) && parameter.trainable).map(([key]) => key);
  for (const [i, [, parameter]] of all.entries()) parameter.trainable = before[i]!;
  return expected;
}

for (const name of Object.keys(tuningMethods) as TuningName[]) {
  describe(`tuning method ${name}`, () => {
    it('says what it is', () => {
      const method = tuningMethod(name);
      assert.equal(method.name, name);
      assert.match(method.description, /^[A-Z].*\.$/);
    });

    it('trains as many parameters as it should', () => {
      const model = MODELS['vit']!();
      tune(model, name, undefined, { seed: 1 });
      assert.equal(countParameters(model).trainable, COUNTS[name]);
      model.dispose();
    });

    for (const [modelName, create] of Object.entries(MODELS)) {
      it(`trains exactly what it names in ${modelName}`, () => {
        const model = create().initialize(1);
        tune(model, name, undefined, { seed: 1 });
        const expected = expectedOf(model, name);
        assert.deepEqual([...model.trainableParameters().keys()], expected);

        const start = snapshot(model);
        for (let step = 1; step <= 10; step++) assert.ok(Number.isFinite(descend(model, step)));
        const end = snapshot(model);
        const moving = new Set(expected);
        for (const [buffer] of model.namedBuffers()) if (TRAINS[name].test(buffer)) moving.add(buffer);
        for (const [tensor, values] of start) {
          if (moving.has(tensor) && MAY_STAY[name]?.test(tensor)) continue;
          if (moving.has(tensor)) assert.notDeepEqual(end.get(tensor), values, `${tensor} should have moved`);
          else assert.deepEqual(end.get(tensor), values, `${tensor} should have stayed`);
        }
        model.dispose();
      });
    }

    it('trains exactly what it names in every registered model', () => {
      for (const modelName of modelNames()) {
        const { family, defaults } = modelEntry(modelName);
        const model = createModel(modelName, family.scaledDown(defaults));
        applyTuning(model, name);
        assert.deepEqual([...model.trainableParameters().keys()], expectedOf(model, name), modelName);
      }
    });

    for (const modelName of ['vit', 'swin']) {
      it(`computes the same replayed as a graph in ${modelName}`, () => {
        const [eager, replay] = (['eager', 'replay'] as const).map((mode) => losses(modelName, name, mode));
        for (const [i, loss] of eager!.entries()) {
          assert.ok(Math.abs(loss - replay![i]!) < 1e-4, `step ${i + 1}: ${loss} and ${replay![i]}`);
        }
        assert.notEqual(eager![0], eager![2]);
      });
    }

    it('leaks no tensors over steps', () => {
      const model = MODELS['vit']!();
      tune(model, name, undefined, { seed: 1 });
      tf.tidy(() => descend(model, 1));
      const count = tf.memory().numTensors;
      tf.tidy(() => descend(model, 2));
      assert.equal(tf.memory().numTensors, count);
      model.dispose();
    });
  });
}

/** The losses of three steps on one batch, with everything random on. */
function losses(modelName: string, name: TuningName, mode: 'eager' | 'replay'): number[] {
  const model = MODELS[modelName]!();
  tune(model, name, undefined, { seed: 1 });
  const optimizer = createOptimizer({ name: 'sgd', momentum: 0.9 }, model.trainableParameters());
  const program = new Program({ mode }).define('train', trainStep(model, optimizer));
  const found = [1, 2, 3].map((step) =>
    tf.tidy(() => {
      const inputs = { ...batch(), learningRate: 0.05, step, key: tf.tensor1d([3, step], 'int32') };
      return program.run('train', inputs)['loss']!.dataSync()[0]!;
    }),
  );
  program.dispose();
  optimizer.dispose();
  model.dispose();
  return found;
}

describe('tune', () => {
  it('draws what it adds from the seed and leaves what has values', () => {
    const [a, b] = [1, 2].map((seed) => {
      const model = MODELS['vit']!().initialize(5);
      tune(model, 'adaptformer', { bottleneck: 4 }, { seed });
      return snapshot(model);
    });
    assert.notDeepEqual(a!.get('blocks.0.down_proj.weight'), b!.get('blocks.0.down_proj.weight'));
    assert.deepEqual(a!.get('blocks.0.attn.qkv.weight'), b!.get('blocks.0.attn.qkv.weight'));
  });

  it('gives the options with their defaults', () => {
    const tuning = tune(MODELS['vit']!(), 'adaptformer', { bottleneck: 4 }, { seed: 0 });
    assert.deepEqual(tuning, {
      method: 'adaptformer',
      options: { bottleneck: 4, dropout: 0.1, alwaysDrop: false, freeze: true, trainNorm: true },
    });
  });

  it('refuses unknown methods, options and values', () => {
    const model = MODELS['vit']!();
    assert.throws(() => tune(model, 'adaptfomer' as 'full', undefined, { seed: 0 }), {
      name: 'UsageError',
      message: /adaptfomer.*Did you mean adaptformer/,
    });
    assert.throws(() => tune(model, 'adaptformer', { width: 3 } as object, { seed: 0 }), UsageError);
    assert.throws(() => tune(model, 'adaptformer', { bottleneck: 0 }, { seed: 0 }), /bottleneck/);
  });

  it('refuses a model where nothing would train', () => {
    const headless = new VisionTransformer({
      imgSize: 8,
      patchSize: 4,
      embedDim: 8,
      depth: 1,
      numHeads: 2,
      numClasses: 0,
    });
    assert.throws(() => tune(headless, 'linear', undefined, { seed: 0 }), { name: 'UsageError', message: /no head/ });
  });
});
