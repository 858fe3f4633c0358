// Models exported as SavedModels and loaded again: by tfjs-node, and by TensorFlow's Python package where
// VITLAB_TEST_TENSORFLOW_PYTHON names a Python that has it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { refuseTooLarge } from '../../src/engine/capture/savedModel.js';
import { exportSavedModel, startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { CaptureError, UsageError } from '../../src/errors.js';
import { createModel, type ImageModel } from '../../src/models/index.js';
import { Identity, Linear, Module } from '../../src/nn/index.js';
import { tune } from '../../src/tuning/index.js';
import { tempDir } from '../support/tempDir.js';

const place = tempDir();
const python = process.env['VITLAB_TEST_TENSORFLOW_PYTHON'];

const SMALL_SWIN = { imgSize: [32, 28], embedDim: 16, depths: [2, 2], numHeads: [2, 2], windowSize: 3 };

/** Small relatives of models of each family. */
const MODELS: Record<string, Record<string, unknown>> = {
  vit_nano_patch4_32: { depth: 2 },
  vit_mini_patch4_32: { depth: 1, globalPool: 'avg', initValues: 0.1, classToken: false, imgSize: [16, 24] },
  moco_vit_conv_small: { imgSize: [32, 48], embedDim: 32, depth: 1, numHeads: 4, numClasses: 10 },
  swin_nano_patch2_window4_32: { imgSize: [22, 26] },
  swin_tiny_patch4_window7_original: SMALL_SWIN,
  swin_tiny_patch4_window7_torchvision: SMALL_SWIN,
};

before(() => startEngine());

const small = (name: string): ImageModel =>
  createModel(name, { ...MODELS[name], dropPathRate: 0.1, dropRate: 0.1 }, { seed: 3 });

function imagesFor(model: ImageModel, batch: number): Tensor {
  const { imgSize } = model.config as { imgSize: number | [number, number] };
  const [height, width] = typeof imgSize === 'number' ? [imgSize, imgSize] : imgSize;
  return tf.randomNormal([batch, height, width, 3], 0, 1, 'float32', batch);
}

type NodeApi = Pick<typeof import('@tensorflow/tfjs-node-gpu'), 'node'>;

/** The logits of the exported model, as tfjs-node computes them. */
async function loaded<T>(dir: string, use: (predict: (images: Tensor) => Float32Array) => T): Promise<T> {
  const { node }: NodeApi = require('@tensorflow/tfjs-node-gpu');
  const model = await node.loadSavedModel(dir);
  try {
    return use((images) => {
      const { logits } = model.predict({ images } as never) as unknown as { logits: Tensor };
      const values = logits.dataSync() as Float32Array;
      logits.dispose();
      return values;
    });
  } finally {
    model.dispose();
  }
}

function close(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(found.length, expected.length);
  const largest = Math.max(...Array.from(expected, (value, i) => Math.abs(value - found[i]!)));
  assert.ok(largest <= tolerance, `the largest difference is ${largest}`);
}

const forward = (model: ImageModel, images: Tensor): Float32Array =>
  tf.tidy(() => model.forward(images).dataSync() as Float32Array);

describe('exportSavedModel', () => {
  for (const name of Object.keys(MODELS)) {
    it(`${name}: gives the same logits for batches of any size`, async () => {
      const model = small(name).train();
      const tensors = tf.memory().numTensors;
      exportSavedModel(place(name), model);
      assert.equal(tf.memory().numTensors, tensors);
      assert.deepEqual(fs.readdirSync(place(name)), ['saved_model.pb']);
      assert.ok([...model.namedModules()].every(([, module]) => module.training));
      model.eval();
      await loaded(place(name), (predict) => {
        for (const batch of [1, 2, 5]) {
          const images = imagesFor(model, batch);
          close(predict(images), forward(model, images), 1e-5);
        }
      });
      model.dispose();
    });
  }

  for (const [name, method] of [
    ['vit_nano_patch4_32', 'vpt'],
    ['vit_nano_patch4_32', 'adaptformer'],
    ['swin_nano_patch2_window4_32', 'vpt'],
    ['swin_nano_patch2_window4_32', 'mona'],
  ] as const) {
    it(`${name} tuned with ${method}: gives the same logits`, async () => {
      const model = small(name);
      tune(model, method, undefined, { seed: 1 });
      const out = place(`${name}-${method}`);
      exportSavedModel(out, model);
      await loaded(out, (predict) => {
        for (const batch of [1, 4]) {
          const images = imagesFor(model, batch);
          close(predict(images), forward(model, images), 1e-5);
        }
      });
    });
  }

  it('takes one size of batch where it is told to', async () => {
    const model = small('vit_nano_patch4_32');
    exportSavedModel(place('fixed'), model, { inputShape: [4, 32, 32, 3] });
    const images = imagesFor(model, 4);
    await loaded(place('fixed'), (predict) => {
      close(predict(images), forward(model, images), 1e-5);
      assert.throws(() => predict(imagesFor(model, 3)));
    });
  });

  it('computes in bfloat16 where it is told to', async () => {
    const model = small('vit_nano_patch4_32');
    exportSavedModel(place('bf16'), model, { precision: 'bf16' });
    const images = imagesFor(model, 3);
    const exact = forward(model, images);
    await loaded(place('bf16'), (predict) => {
      const found = predict(images);
      close(found, exact, 0.05);
      assert.notDeepEqual(found, exact);
    });
  });

  it('keeps the values of the time of the export, and can be repeated', async () => {
    const model = small('vit_nano_patch4_32');
    const images = imagesFor(model, 2);
    const before = forward(model, images);
    exportSavedModel(place('twice'), model);
    const bias = tf.ones([10]);
    model.loadStateDict({ 'head.bias': bias }, { strict: false });
    await loaded(place('twice'), (predict) => close(predict(images), before, 1e-5));
    exportSavedModel(place('twice'), model);
    await loaded(place('twice'), (predict) =>
      close(
        predict(images),
        before.map((value) => value + 1),
        1e-5,
      ),
    );
  });

  it('refuses what would not be right', () => {
    const model = small('vit_nano_patch4_32');
    fs.mkdirSync(place('taken/variables'), { recursive: true });
    assert.throws(() => exportSavedModel(place('taken'), model), { name: 'UsageError', message: /holds variables/ });
    assert.throws(() => exportSavedModel(place('none'), new Identity()), UsageError);
    assert.throws(() => exportSavedModel(place('none'), model, { inputShape: [null, 8, 8, 3] }), /Expected images/);
    assert.throws(() => refuseTooLarge(2 ** 31), { name: 'CaptureError', message: /2\.00 GiB of weights/ });
    refuseTooLarge(2 ** 31 - 1);
    assert.equal(fs.existsSync(place('none')), false);
  });

  it('refuses a model that does another thing for another number of images', () => {
    class Counting extends Module {
      fc = new Linear(3, 2);
      override forward(x: Tensor): Tensor {
        const batch = x.shape[0]!;
        const pixels = this.fc.forward(tf.reshape(x, [batch, 3]));
        return tf.add(pixels, tf.fill([2], 1 / batch));
      }
    }
    const model = new Counting().initialize(1);
    const inputShape = [null, 1, 1, 3] as const;
    assert.throws(() => exportSavedModel(place('count'), model, { inputShape }), CaptureError);
    exportSavedModel(place('count'), model, { inputShape: [2, 1, 1, 3] });
    class Growing extends Module {
      override forward(x: Tensor): Tensor {
        return tf.tile(x, [1, x.shape[0]! + 1, 1, 1]);
      }
    }
    const growing = () => exportSavedModel(place('grow'), new Growing(), { inputShape });
    assert.throws(growing, /batches of 2 and 3 images: the numbers 1,3,1,1 against 1,4,1,1/);
  });

  if (python) {
    it('gives the same logits in Python', async () => {
      const cases = Object.keys(MODELS).map((name) => {
        const model = small(name);
        const at = (end: string): string => place(`python-${name}${end}`);
        exportSavedModel(at(''), model);
        const images = imagesFor(model, 3);
        fs.writeFileSync(at('.images'), Float32Array.from(images.dataSync()));
        const words = [at(''), at('.images'), images.shape.join(), at('.logits')];
        return { words, logits: at('.logits'), expected: forward(model, images) };
      });
      const script = path.join(__dirname, '..', 'support', 'runSavedModel.py');
      await promisify(execFile)(python, [script, ...cases.flatMap(({ words }) => words)]);
      for (const { logits, expected } of cases) {
        close(new Float32Array(Uint8Array.from(fs.readFileSync(logits)).buffer), expected, 1e-5);
      }
    });
  }
});
