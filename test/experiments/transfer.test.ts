import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { type Dataset, imagesPerClass, openDataset } from '../../src/data/index.js';
import { startEngine, tf } from '../../src/engine/index.js';
import { CheckpointError, UsageError } from '../../src/errors.js';
import {
  type Budget,
  evaluationLoader,
  findRecords,
  type TransferOptions,
  trainSupervised,
  transfer,
  transferKey,
} from '../../src/experiments/index.js';
import { createModel, VisionTransformer } from '../../src/models/index.js';
import type { StateDict } from '../../src/nn/index.js';
import { evaluate, Interrupted } from '../../src/train/index.js';
import { tempDir } from '../support/tempDir.js';

const place = tempDir();
const silent = { show: () => {}, finish: () => {} };
const build = (numClasses: number): VisionTransformer =>
  new VisionTransformer({ imgSize: 32, patchSize: 8, embedDim: 16, depth: 2, numHeads: 2, numClasses });
const budget: Budget = {
  epochs: 2,
  batchSize: 16,
  optimizer: { name: 'adamw', weightDecay: 0.05 },
  schedule: { name: 'warmupCosine', baseLr: 0.003 },
  augmentation: 'cropFlip',
  seed: 3,
};

let [train, test]: Dataset[] = [];
let weights: StateDict = {};

before(async () => {
  await startEngine('tensorflow');
  train = await openDataset('shapes10?train=64&test=40', 'train');
  test = await openDataset('shapes10?train=64&test=40', 'test');
  weights = build(100).initialize(1).stateDict();
});

const options = (
  dir: string,
  changes: Partial<TransferOptions<'adaptformer'>> = {},
): TransferOptions<'adaptformer'> => ({
  name: 'AdaptFormer',
  build,
  weights,
  method: 'adaptformer',
  options: { bottleneck: 4 },
  train: train!,
  test: test!,
  budget,
  dir: place(dir),
  progress: silent,
  ...changes,
});

describe('transfer', () => {
  it('trains what the method trains, on the base that it got, and writes down what came of it', async () => {
    const result = await transfer(options('plain'));
    assert.equal(result.history.length, 2);
    assert.equal(result.top1, result.history[1]!.evalTop1);
    assert.ok(result.stepMs > 0 && result.trainable < result.total / 4);
    assert.deepEqual(result.options, { bottleneck: 4, ...result.options });
    const folder = place('plain');
    assert.deepEqual(fs.readdirSync(folder).sort(), ['events', 'transfer.json', 'tuned.safetensors']);
    assert.equal(result.checkpointBytes, fs.statSync(path.join(folder, 'tuned.safetensors')).size);
    assert.ok(result.checkpointBytes > 4 * result.trainable && result.checkpointBytes < 4 * result.trainable + 4096);
    const { loadModel: _, ...record } = result;
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(folder, 'transfer.json'), 'utf8')), record);
  });

  it('gives the trained model from the file of what was trained', async () => {
    const result = await transfer(options('plain'));
    const model = result.loadModel();
    const { top1 } = await evaluate(model, evaluationLoader(test!, budget));
    assert.ok(Math.abs(top1 - result.top1) < 1e-9);
    const qkv = 'blocks.0.attn.qkv.weight';
    assert.deepEqual(model.stateDict()[qkv]!.dataSync(), weights[qkv]!.dataSync());
    model.dispose();
  });

  it('takes the record of the same transfer, and no other', async () => {
    let epochs = 0;
    const counted = { onEpoch: () => void epochs++ };
    const first = await transfer(options('again', counted));
    const second = await transfer(options('again', { ...counted, name: 'another name' }));
    assert.equal(epochs, 2);
    assert.deepEqual({ ...second, loadModel: 0 }, { ...first, name: 'another name', loadModel: 0 });
    const other = await transfer(options('again', { ...counted, budget: { ...budget, seed: 4 } }));
    assert.equal(epochs, 4);
    assert.notEqual(other.key, first.key);
    assert.equal(findRecords([place('again')]).get(other.key)!.record.seed, 4);
  });

  it('trains on the chosen images alone, and tells them by its key', async () => {
    const indices = imagesPerClass(train!, [4, 4, 4, 4, 4, 4, 4, 4, 1, 1]);
    const epoch = { ...budget, epochs: 1 };
    const chosen = await transfer(options('chosen', { indices, budget: epoch }));
    assert.equal(chosen.history[0]!.steps, 2, '34 images make two batches of 16');
    assert.notEqual(chosen.key, transferKey(options('chosen', { budget: epoch })));
    const none = { indices: [64], budget: epoch };
    await assert.rejects(transfer(options('none', none)), { name: 'UsageError', message: /there is no image 64/ });
  });

  it('goes on where it was stopped, and ends the same', async () => {
    const whole = await transfer(options('whole'));
    const stop = { onEpoch: () => void process.emit('SIGINT') };
    await assert.rejects(transfer(options('stopped', stop)), Interrupted);
    const epochs: number[] = [];
    const resumed = await transfer(options('stopped', { onEpoch: ({ epoch }) => void epochs.push(epoch) }));
    assert.deepEqual(epochs, [2]);
    assert.equal(resumed.key, whole.key);
    const figures = ({ history }: typeof whole) =>
      history.map(({ trainLoss, evalLoss, evalTop1 }) => [trainLoss, evalLoss, evalTop1]);
    assert.deepEqual(figures(resumed), figures(whole));
    const bytes = (dir: string) => fs.readFileSync(path.join(place(dir), 'tuned.safetensors'));
    assert.ok(bytes('stopped').equals(bytes('whole')));
  });

  it('starts from the seed where there are no weights, in any family, with images of another size', async () => {
    const result = await transfer({
      ...options('swin'),
      build: (numClasses) =>
        createModel('swin_tiny_patch4_window7_224', {
          ...{ imgSize: 16, patchSize: 2, windowSize: 2, embedDim: 8, depths: [1, 1], numHeads: [1, 2], numClasses },
        }),
      weights: undefined,
      method: 'linear',
      options: {},
      budget: { ...budget, epochs: 1, images: { size: 16 } },
    });
    assert.ok(result.top5 >= result.top1 && result.top5 > 0);
    const model = result.loadModel();
    const { top1 } = await evaluate(model, evaluationLoader(test!, { ...budget, images: { size: 16 } }));
    assert.ok(Math.abs(top1 - result.top1) < 1e-9);
    model.dispose();
  });

  it('keeps no tensor', async () => {
    await transfer(options('memory'));
    const { numTensors } = tf.memory();
    await transfer(options('memory', { budget: { ...budget, epochs: 1 } }));
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it('refuses weights of another architecture', async () => {
    const { 'blocks.1.norm1.weight': _, ...less } = weights;
    const wrong: [StateDict, RegExp][] = [
      [less, /missing: blocks\.1\.norm1\.weight\)/],
      [{ ...weights, 'blocks.2.norm1.weight': weights['norm.weight']! }, /unexpected: blocks\.2\.norm1\.weight/],
      [{ ...weights, pos_embed: weights['cls_token']! }, /pos_embed is \[1,1,16\] instead of \[1,17,16\]/],
    ];
    const { numTensors } = tf.memory();
    for (const [state, message] of wrong) {
      await assert.rejects(
        transfer(options('refused', { weights: state })),
        (error) => error instanceof CheckpointError && message.test(error.message),
      );
    }
    assert.equal(tf.memory().numTensors, numTensors);
    assert.ok(!fs.existsSync(place('refused')));
  });

  it('refuses options that the method does not have, and test images of other classes', async () => {
    await assert.rejects(transfer(options('refused', { options: { width: 3 } as never })), UsageError);
    const others = await openDataset('shapes100?train=64&test=40', 'test');
    await assert.rejects(transfer(options('refused', { test: others })), /same classes in the same order/);
  });
});

describe('keys and records', () => {
  it('tell apart everything that decides a result', async () => {
    const other = await openDataset('shapes10?train=65&test=40', 'train');
    const changed = { ...weights, 'norm.bias': tf.ones([16]) };
    const heads = (numClasses: number) =>
      new VisionTransformer({ imgSize: 32, patchSize: 8, embedDim: 16, depth: 2, numHeads: 4, numClasses });
    const key = (changes: Partial<TransferOptions<'adaptformer'>> = {}) => transferKey(options('none', changes));
    const keys = [
      key(),
      key({ weights: changed }),
      key({ build: heads }),
      key({ options: { bottleneck: 5 } }),
      key({ options: { bottleneck: 4, trainNorm: false } }),
      transferKey({ ...options('none'), method: 'full', options: {} }),
      key({ train: other }),
      ...[{ seed: 4 }, { epochs: 3 }, { batchSize: 8 }, { augmentation: 'none' }, { precision: 'bf16' }].map((change) =>
        key({ budget: { ...budget, ...change } as Budget }),
      ),
      key({ budget: { ...budget, optimizer: { name: 'adamw', weightDecay: 0.1 } } }),
      key({ budget: { ...budget, schedule: { name: 'constant', baseLr: 0.003 } } }),
      key({ budget: { ...budget, labelSmoothing: 0.1 } }),
      key({ budget: { ...budget, images: { size: 32 } } }),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });

  it('do not tell apart what does not', () => {
    const key = transferKey(options('none'));
    const { seed, ...others } = budget;
    const same: Budget = {
      seed,
      ...others,
      sparesNorms: false,
      precision: 'fp32',
      optimizer: { weightDecay: 0.05, betas: [0.9, 0.999], name: 'adamw' },
    };
    assert.equal(transferKey(options('elsewhere', { name: 'other', budget: same })), key);
    const otherHead = { ...weights, 'head.bias': tf.ones([100]) };
    assert.equal(transferKey(options('none', { weights: otherHead })), key);
  });

  it('are found in folders of folders', async () => {
    const { key } = await transfer(options('runs/one/checkpoints/adaptformer'));
    const full = await transfer({ ...options('runs/two/full'), method: 'full', options: {} });
    const found = findRecords([place('runs'), place('runs/one')]);
    assert.deepEqual([...found.keys()].sort(), [key, full.key].sort());
    assert.equal(found.get(full.key)!.dir, place('runs/two/full'));
    assert.equal(found.get(full.key)!.record.decidedBy['engine']!.valueOf().constructor, Object);
    assert.throws(() => findRecords([place('nowhere')]), UsageError);
    fs.writeFileSync(path.join(place('runs/two/full'), 'transfer.json'), '{"name": "cut');
    assert.throws(() => findRecords([place('runs')]), /two\/full\/transfer\.json is no record of a transfer/);
    await assert.rejects(transfer({ ...options('runs/two/full'), method: 'full', options: {} }), CheckpointError);
  });
});

describe('trainSupervised', () => {
  it('trains a model, and loads what it trained when it is called again', async () => {
    const run = () => {
      const model = build(10).initialize(5);
      return { model, train: train!, test: test!, budget, dir: place('supervised'), progress: silent };
    };
    const first = run();
    const result = await trainSupervised(first);
    assert.equal(result.history.length, 2);
    const second = run();
    const again = await trainSupervised(second);
    assert.deepEqual([again.resumed, again.steps, again.history], [true, result.steps, result.history]);
    const norm = ({ model }: typeof first) => [...model.stateDict()['norm.weight']!.dataSync()];
    assert.deepEqual(norm(second), norm(first));
    assert.notDeepEqual(norm(first), [...build(10).initialize(5).stateDict()['norm.weight']!.dataSync()]);
  });
});
