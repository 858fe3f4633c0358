// Every registered model: its size as published, a forward and a backward pass of a small relative, its state dict.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf, valueAndGradients } from '../../src/engine/index.js';
import { UsageError } from '../../src/errors.js';
import { createModel, type ImageModel, modelEntry, modelNames, registerModel } from '../../src/models/index.js';
import { pair } from '../../src/nn/index.js';

before(() => startEngine());

const count = (model: ImageModel): number => [...model.namedParameters()].reduce((sum, [, { size }]) => sum + size, 0);

/** A small relative of a model and images that fit it. */
function small(name: string, seed = 1): { model: ImageModel; images: Tensor } {
  const { family, defaults } = modelEntry(name);
  const scaled = family.scaledDown(defaults);
  const model = createModel(name, { ...scaled, dropPathRate: 0 }, { seed });
  const [height, width] = pair((scaled['imgSize'] as number | undefined) ?? [40, 28]);
  return { model, images: tf.randomNormal([2, height, width, 3], 0, 1, 'float32', 5) };
}

describe('registered models', () => {
  it('has the three families', () => {
    const families = new Set(modelNames().map((name) => modelEntry(name).family.name));
    assert.deepEqual([...families], ['vit', 'moco-vit', 'swin']);
  });

  for (const name of modelNames()) {
    describe(name, () => {
      it('says where it comes from and has its published size', () => {
        const { provenance, parameters } = modelEntry(name);
        assert.ok(provenance.length > 10);
        const total = count(createModel(name));
        if (parameters !== undefined) assert.equal(total, parameters);
        else assert.ok(total < 3e6 || name === 'moco_vit_conv_base', `${name} has ${total} parameters`);
      });

      it('gives features, pooled features and logits that agree with forward', () => {
        const { model, images } = small(name);
        tf.tidy(() => {
          const features = model.forwardFeatures(images);
          assert.deepEqual(model.pool(features).shape, [2, model.numFeatures]);
          const logits = model.classify(features);
          assert.deepEqual(logits.shape, [2, 5]);
          assert.ok(logits.dataSync().every(Number.isFinite));
          assert.deepEqual([...model.forward(images).dataSync()], [...logits.dataSync()]);
        });
        model.dispose();
      });

      it('has a gradient for everything that trains', () => {
        const { model, images } = small(name);
        model.train();
        const parameters = [...model.trainableParameters()];
        const { gradients } = valueAndGradients(
          () => tf.sum(tf.square(model.forward(images))),
          parameters.map(([, parameter]) => parameter.value),
        );
        const dead = parameters.filter((_, i) => !gradients[i]!.dataSync().some((entry) => entry !== 0));
        assert.deepEqual(
          dead.map(([parameter]) => parameter),
          [],
        );
        model.dispose();
      });

      it('is restored by its state dict', () => {
        const { model, images } = small(name, 1);
        const { model: other } = small(name, 2);
        const { missing, unexpected } = other.loadStateDict(model.stateDict());
        assert.deepEqual([missing, unexpected], [[], []]);
        assert.deepEqual([...other.forward(images).dataSync()], [...model.forward(images).dataSync()]);
        model.dispose();
        other.dispose();
      });

      it('leaves the head out without classes', () => {
        const scaled = modelEntry(name).family.scaledDown(modelEntry(name).defaults);
        const names = [...createModel(name, { ...scaled, numClasses: 0 }).namedParameters()].map(([key]) => key);
        assert.deepEqual(
          names.filter((key) => key.startsWith('head')),
          [],
        );
      });
    });
  }
});

describe('createModel', () => {
  it('names the nearest model', () => {
    assert.throws(() => createModel('vit_base_patch16'), /Did you mean vit_base_patch16_224\?/);
    assert.throws(() => createModel('resnet'), UsageError);
  });

  it('refuses unknown settings and wrong types', () => {
    assert.throws(() => createModel('vit_nano_patch4_32', { classes: 3 }), /Unrecognized key.*classes/s);
    assert.throws(() => createModel('vit_nano_patch4_32', { depth: 'deep' }), UsageError);
  });

  it('starts the same for the same seed only', () => {
    const values = [1, 1, 2].map((seed) => {
      const model = createModel('vit_nano_patch4_32', {}, { seed });
      return [...model.stateDict()['head.weight']!.dataSync()];
    });
    assert.deepEqual(values[0], values[1]);
    assert.notDeepEqual(values[0], values[2]);
  });

  it('has no values without a seed', () => {
    assert.throws(() => createModel('vit_nano_patch4_32').stateDict(), /no value yet/);
  });

  it('refuses a second model of the same name', () => {
    assert.throws(() => registerModel('vit_nano_patch4_32', modelEntry('vit_nano_patch4_32')), UsageError);
  });
});
