// Files of tuned parameters: what they hold, the way back, and the bases that they refuse.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/index.js';
import { startEngine, tf } from '../../src/engine/index.js';
import { CheckpointError, UsageError } from '../../src/errors.js';
import type { Module } from '../../src/nn/index.js';
import {
  describeTuned,
  loadTuned,
  mergedState,
  mergeLora,
  saveTuned,
  type TuningName,
  tune,
  tuningMethods,
} from '../../src/tuning/index.js';
import { batch, descend, MODELS, snapshot } from './models.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-tuned-'));
const file = path.join(folder, 'tuned.safetensors');
before(() => startEngine());
after(() => fs.rmSync(folder, { recursive: true }));

const logits = (model: Module): Float32Array =>
  tf.tidy(() => Float32Array.from(model.eval().forward(batch().images).dataSync()));

/** A base tuned for two steps. */
function tuned(name: string, method: TuningName, seed = 1) {
  const model = MODELS[name]!().initialize(seed);
  const tuning = tune(model, method, undefined, { seed: 2 });
  for (let step = 1; step <= 2; step++) descend(model, step);
  return { model, tuning };
}

describe('saveTuned and loadTuned', () => {
  for (const method of Object.keys(tuningMethods) as TuningName[]) {
    for (const name of ['vit', 'swin', 'MoCo vit with convolutional stem']) {
      it(`${method} on ${name}`, () => {
        const { model, tuning } = tuned(name, method);
        saveTuned(file, model, tuning, { base: name });
        const trained = [...model.trainableParameters().keys()];
        const buffers = [...model.namedBuffers()].filter(([, buffer]) => !buffer.frozen).map(([buffer]) => buffer);
        assert.deepEqual(Object.keys(readSafetensors(file)).sort(), [...trained, ...buffers].sort());

        const base = MODELS[name]!().initialize(1);
        assert.deepEqual(loadTuned(file, base), tuning);
        assert.deepEqual(snapshot(base), snapshot(model));
        assert.deepEqual([...base.trainableParameters().keys()], trained);
        assert.deepEqual(logits(base), logits(model));
      });
    }
  }

  it('describes itself', () => {
    const { model, tuning } = tuned('vit', 'lora');
    saveTuned(file, model, tuning, { base: 'my base' });
    const { method, options, base } = describeTuned(file);
    assert.equal(method, 'lora');
    assert.deepEqual(options, { targets: ['qkv'], r: 8, alpha: 16, rsLora: false });
    assert.equal(base.name, 'my base');
    assert.match(base.sha256, /^[0-9a-f]{64}$/);
  });

  it('takes a base with another head, and refuses any other until it is forced', () => {
    const { model, tuning } = tuned('vit', 'lora');
    saveTuned(file, model, tuning, { base: 'my base' });
    const otherHead = MODELS['vit']!().initialize(1);
    const head = new Map(otherHead.namedParameters()).get('head.weight')!;
    head.set(tf.ones([...head.shape]));
    loadTuned(file, otherHead);
    assert.deepEqual(logits(otherHead), logits(model));

    const other = MODELS['vit']!().initialize(9);
    const untouched = snapshot(other);
    assert.throws(() => loadTuned(file, other), {
      name: 'CheckpointError',
      message: /tuned \(lora\) on another base: my base.*force: true/,
    });
    assert.deepEqual(snapshot(other), untouched);
    loadTuned(file, other, { force: true });
    assert.deepEqual(snapshot(other).get('head.weight'), snapshot(model).get('head.weight'));
  });

  it('refuses a model that the tensors do not fit, forced or not', () => {
    const { model, tuning } = tuned('vit', 'linear');
    saveTuned(file, model, tuning);
    assert.throws(() => loadTuned(file, MODELS['swin']!().initialize(1), { force: true }), CheckpointError);
  });

  it('refuses files without a description, or with a damaged one', () => {
    const base = MODELS['vit']!().initialize(1);
    writeSafetensors(file, mergedState(tuned('vit', 'lora').model));
    assert.throws(() => loadTuned(file, base), { name: 'CheckpointError', message: /holds no tuned parameters/ });
    writeSafetensors(file, {}, { 'vitlab.tuning': '{"method": "magic"}' });
    assert.throws(() => describeTuned(file), CheckpointError);
    assert.throws(() => describeTuned(path.join(folder, 'none')), CheckpointError);
  });

  it('refuses to save while updates are merged into the base', () => {
    const { model, tuning } = tuned('vit', 'lora');
    mergeLora(model);
    assert.throws(() => saveTuned(file, model, tuning), UsageError);
  });
});
