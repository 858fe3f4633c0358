import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, describe, it } from 'node:test';
import { augmentations, DataLoader, openDataset } from '../../src/data/index.js';
import { startEngine } from '../../src/engine/index.js';
import { TrainingError } from '../../src/errors.js';
import { createModel } from '../../src/models/index.js';
import { type Encoder, linearProbe, Moco, pretrain } from '../../src/pretrain/index.js';
import { type FitOptions, Interrupted } from '../../src/train/index.js';
import { tune } from '../../src/tuning/index.js';
import { tempDir } from '../support/tempDir.js';
import { quadrants } from '../support/toy.js';

before(() => startEngine('tensorflow'));

const place = tempDir();
const silent = { show: () => {}, finish: () => {} };
const settings = { imgSize: 16, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4 };
const moco = (): Moco =>
  new Moco(() => createModel('vit_nano_patch4_32', settings) as unknown as Encoder, {
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
    const losses = await run(model, { epochs: 8 });
    assert.equal(losses.length, 8);
    assert.ok(losses.at(-1)! < losses[0]!, losses.join(' '));
    assert.notDeepEqual([...model.momentumEncoder.stateDict()['patch_embed.proj.weight']!.dataSync()], start);
  });

  it('goes on after the last whole epoch and ends bit for bit the same', async () => {
    const whole = moco();
    const expected = await run(whole);
    const checkpoint = place('moco.safetensors');
    let shown = 0;
    const stopping = {
      show: () => {
        if (++shown === 10) process.emit('SIGINT');
      },
      finish: () => {},
    };
    await assert.rejects(run(moco(), { checkpoint, progress: stopping }), Interrupted);
    assert.ok(fs.existsSync(checkpoint), 'two epochs were whole');
    const resumed = moco();
    assert.deepEqual(await run(resumed, { checkpoint }), expected);
    assert.deepEqual(state(resumed), state(whole));
    await assert.rejects(run(moco(), { checkpoint, epochs: 5 }), TrainingError);
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
