// The webgpu engine on whatever device there is; a software driver will do.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { readSafetensors } from '../../src/checkpoint/index.js';
import { currentEngine, readArray, readable, startEngine, tf } from '../../src/engine/index.js';
import { classAttention, VisionTransformer } from '../../src/models/index.js';
import { fit, type ProgressView } from '../../src/train/index.js';
import { saveTuned, tune } from '../../src/tuning/index.js';
import { tempDir } from '../support/tempDir.js';
import { quadrants, toyViT } from '../support/toy.js';

const SILENT: ProgressView = { show: () => {}, finish: () => {} };

describe('webgpu', () => {
  const file = tempDir();
  before(() => startEngine('webgpu'));

  it('names its device', () => {
    const { name, device, canCapture, describe } = currentEngine();
    assert.equal(name, 'webgpu');
    assert.equal(canCapture, false);
    assert.ok(device.length > 0 && describe().endsWith(device), describe());
  });

  it('gives values that can be read at once after waiting for them', async () => {
    const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([0, 1, 1, 0], [2, 2]));
    await readable([product]);
    assert.deepEqual([...product.dataSync()], [2, 1, 4, 3]);
    assert.deepEqual([...(await tf.add(product, 1).data())], [3, 2, 5, 4]);
  });

  it('gives what is computed as numbers, and keeps no tensor of it', async () => {
    const { numTensors } = tf.memory();
    const product = () => tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([0, 1, 1, 0], [2, 2]));
    assert.deepEqual(await readArray(product), [
      [2, 1],
      [4, 3],
    ]);
    assert.equal(await readArray(() => tf.max(product())), 4);
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it('tells where the class token looks', async () => {
    const model = new VisionTransformer({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 2, numHeads: 2 }).initialize(0);
    const blocks = await classAttention(model, tf.ones([1, 8, 8, 3]));
    const sums = blocks.map(({ toItself, toPatches }) => toPatches.reduce((a, b) => a + b, toItself[0]!));
    assert.equal(sums.length, 2);
    for (const sum of sums) assert.ok(Math.abs(sum - 1) < 1e-5, `${sum}`);
    model.dispose();
  });

  it('trains, and leaves a state and a file of what was tuned', async () => {
    const model = toyViT();
    const tuning = tune(model, 'adaptformer', { bottleneck: 4 }, { seed: 1 });
    const valuesOf = async (name: string) => [...(await model.stateDict()[name]!.data())];
    const [frozen, trained] = ['blocks.0.attn.qkv.weight', 'blocks.0.down_proj.weight'];
    const start = { [frozen]: await valuesOf(frozen), [trained]: await valuesOf(trained) };
    const checkpoint = file('state.safetensors');
    const { history } = await fit({
      model,
      train: quadrants({ batches: 8 }),
      evaluate: quadrants({ batches: 1 }),
      epochs: 2,
      optimizer: { name: 'adamw' },
      schedule: { name: 'constant', baseLr: 0.03 },
      seed: 5,
      checkpoint,
      progress: SILENT,
    });
    assert.equal(history.length, 2);
    assert.ok(Number.isFinite(history[1]!.evalLoss));
    const state = readSafetensors(checkpoint);
    assert.deepEqual([...state[`model/${frozen}`]!.data], start[frozen]);
    assert.notDeepEqual([...state[`model/${trained}`]!.data], start[trained]);
    saveTuned(file('tuned.safetensors'), model, tuning);
    assert.deepEqual([...readSafetensors(file('tuned.safetensors'))[trained]!.data], await valuesOf(trained));
  });

  it('says what it needs where there is no device', () => {
    const script =
      "require('./src/engine/index.ts').startEngine('webgpu').catch((error) => console.log(error.message))";
    const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', '--eval', script], {
      cwd: path.join(__dirname, '../..'),
      env: { ...process.env, VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' },
      encoding: 'utf8',
    });
    assert.match(stdout, /found no device.*libvulkan1/);
  });
});
