import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, describe, it } from 'node:test';
import { augmentations, DataLoader, openDataset } from '../../src/data/index.js';
import { startEngine } from '../../src/engine/index.js';
import { TrainingError } from '../../src/errors.js';
import { createModel } from '../../src/models/index.js';
import { linearProbe, Moco, type PretrainEpoch, type PretrainStep, pretrain } from '../../src/pretrain/index.js';
import { extractFeatures, type FitOptions, Interrupted, knnAccuracy, readPosition } from '../../src/train/index.js';
import { tune } from '../../src/tuning/index.js';
import { tempDir } from '../support/tempDir.js';
import { quadrants } from '../support/toy.js';

before(() => startEngine('tensorflow'));

const place = tempDir();
const silent = { show: () => {}, finish: () => {} };
const settings = { imgSize: 16, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4 };
const moco = (rest: object = {}): Moco =>
  new Moco(() => createModel('moco_vit_nano_patch4_32', { ...settings, ...rest }), {
    outDim: 8,
    mlpDim: 16,
    temperature: 0.2,
  }).initialize(0);
const twoViews = async () =>
  new DataLoader(await openDataset('shapes10?train=64&test=8', 'train'), {
    batchSize: 16,
    views: [augmentations.moco1({ size: 16 }), augmentations.moco2({ size: 16 })],
    seed: 1,
    shuffle: true,
    dropLast: true,
    workers: 0,
  });
const labelled = async () => {
  const transforms = augmentations.none({ size: 16 });
  const [memory, queries] = await Promise.all(
    (['train', 'test'] as const).map(async (split) => {
      const set = await openDataset('shapes10?train=64&test=20', split);
      return new DataLoader(set, { batchSize: 16, transforms, workers: 0 });
    }),
  );
  return { memory: memory!, queries: queries! };
};
const run = async (model: Moco, rest: object = {}) =>
  pretrain({
    model,
    train: await twoViews(),
    epochs: 4,
    optimizer: { name: 'adamw', weightDecay: 0.1 },
    schedule: { name: 'mocoCosine', baseLr: 3e-3, warmupEpochs: 1 },
    seed: 2,
    progress: silent,
    ...rest,
  });
const state = (model: Moco): number[][] => Object.values(model.stateDict()).map((tensor) => [...tensor.dataSync()]);

describe('pretrain', () => {
  it('brings the loss down on the two pipelines of MoCo v3, and moves the momentum encoder', async () => {
    const model = moco();
    const start = [...model.momentumEncoder.stateDict()['patch_embed.proj.weight']!.dataSync()];
    const { history } = await run(model, { epochs: 8 });
    const losses = history.map(({ loss }) => loss);
    assert.equal(losses.length, 8);
    assert.ok(losses.at(-1)! < losses[0]!, losses.join(' '));
    assert.notDeepEqual([...model.momentumEncoder.stateDict()['patch_embed.proj.weight']!.dataSync()], start);
  });

  it('goes on in the middle of an epoch and ends bit for bit the same', async () => {
    const whole = moco();
    const rest = { monitor: await labelled(), gradNorms: ['predictor'] };
    const expected = await run(whole, rest);
    const checkpoint = place('moco.safetensors');
    let updates = 0;
    const onStep = () => {
      if (++updates === 10) process.emit('SIGINT');
    };
    await assert.rejects(run(moco(), { ...rest, checkpoint, onStep }), Interrupted);
    assert.equal(readPosition(checkpoint).batch, 2, 'two epochs of four batches were whole');
    const resumed = moco();
    const result = await run(resumed, { ...rest, checkpoint });
    assert.equal(result.resumed, true);
    assert.deepEqual(result.curves, expected.curves);
    const measured = ({ imagesPerSecond: _, ...record }: PretrainEpoch) => record;
    assert.deepEqual(result.history.map(measured), expected.history.map(measured));
    assert.deepEqual(state(resumed), state(whole));
    await assert.rejects(run(moco(), { ...rest, checkpoint, epochs: 5 }), TrainingError);
    await assert.rejects(run(moco(), { checkpoint }), TrainingError, 'a run that measures other things');
  });

  it('measures gradients by part, before they are clipped, and tells of each update', async () => {
    const steps: PretrainStep[] = [];
    const gradNorms = ['base_encoder.patch_embed', 'base_encoder.blocks.0', 'predictor'];
    const logDir = place('events');
    const rest = { epochs: 1, gradNorms, clipNorm: 1e-3, logDir, onStep: (step: PretrainStep) => steps.push(step) };
    const { curves } = await run(moco({ stopGradConv1: true }), rest);
    assert.deepEqual([curves.loss.length, steps.map(({ step }) => step)], [4, [1, 2, 3, 4]]);
    assert.deepEqual(Object.keys(curves.gradNorms), gradNorms);
    assert.deepEqual([...curves.gradNorms['base_encoder.patch_embed']!], [0, 0, 0, 0], 'frozen');
    assert.ok(curves.gradNorms['predictor']!.every((norm) => norm > 1e-3));
    steps.forEach((record, i) => {
      assert.equal(record.loss, curves.loss[i]);
      assert.equal(record.learningRate, curves.learningRate[i]);
      assert.equal(record.gradNorms['predictor'], curves.gradNorms['predictor']![i]);
    });
    assert.deepEqual([curves.learningRate[0], curves.momentum[0]], [0, 0.99]);
    assert.ok(curves.momentum[3]! > curves.momentum[2]!);
    assert.equal(fs.readdirSync(logDir).length, 1);
    await assert.rejects(run(moco(), { gradNorms: ['base_encoder.blocks.9'] }), /no module 'base_encoder.blocks.9'/);
  });

  it('watches the features of the base encoder by nearest neighbours', async () => {
    const model = moco();
    const monitor = await labelled();
    const { history } = await run(model, { epochs: 2, monitor });
    const [memory, queries] = [
      await extractFeatures(model.baseEncoder, monitor.memory),
      await extractFeatures(model.baseEncoder, monitor.queries),
    ];
    assert.equal(history[1]!.knnTop1, await knnAccuracy(memory, queries));
    assert.equal((await run(moco(), { epochs: 1 })).history[0]!.knnTop1, undefined);
  });
});

describe('linearProbe', () => {
  const options = (): FitOptions => {
    const model = createModel('vit_nano_patch4_32', { ...settings, imgSize: 8 }, { seed: 3 });
    tune(model, 'linear', {}, { seed: 3 });
    return {
      model,
      train: quadrants(),
      evaluate: quadrants({ batches: 2, seed: 2 }),
      epochs: 2,
      optimizer: { name: 'sgd', momentum: 0.9 },
      schedule: { name: 'constant', baseLr: 0.1 },
      seed: 4,
      progress: silent,
    };
  };

  it('trains the head alone', async () => {
    const { history } = await linearProbe(options());
    assert.equal(history.length, 2);
  });

  it('refuses a figure when something frozen has moved', async () => {
    const given = options();
    const frozen = given.model.stateDict()['norm.weight'] as unknown as { assign(value: unknown): void };
    const meddling = { ...silent, finish: () => frozen.assign(given.model.stateDict()['norm.bias']) };
    await assert.rejects(linearProbe({ ...given, progress: meddling }), (error: Error) => {
      return error instanceof TrainingError && /norm\.weight is frozen/.test(error.message);
    });
  });
});
