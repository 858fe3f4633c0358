// How the linear layers of the transformers start.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine } from '../../src/engine/index.js';
import { createModel, type LinearInit, SwinTransformer, VisionTransformer } from '../../src/models/index.js';
import type { Module } from '../../src/nn/index.js';

before(() => startEngine());

const FAMILIES: Record<string, { make(linearInit?: LinearInit): Module; block: string; head: string }> = {
  vit: {
    make: (linearInit) =>
      new VisionTransformer({ ...SIZE, patchSize: 8, numHeads: 2, depth: 2, ...(linearInit && { linearInit }) }),
    block: 'blocks.1',
    head: 'head',
  },
  swin: {
    make: (linearInit) =>
      new SwinTransformer({ ...SIZE, depths: [2, 2], numHeads: [2, 2], ...(linearInit && { linearInit }) }),
    block: 'layers.0.blocks.1',
    head: 'head.fc',
  },
};
const SIZE = { imgSize: 32, embedDim: 64, numClasses: 100 };

describe('linear layers', () => {
  for (const [family, { make, block, head }] of Object.entries(FAMILIES)) {
    const valuesOf = (model: Module, name: string): number[] => [...model.stateDict()[name]!.dataSync()];

    it(`of ${family} start with σ = 0.02 whatever their size, unless told otherwise`, () => {
      const model = make().initialize(0);
      for (const name of [`${block}.attn.qkv`, `${block}.attn.proj`, `${block}.mlp.fc2`, head]) {
        const values = valuesOf(model, `${name}.weight`);
        const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
        assert.ok(Math.abs(deviation - 0.02) < 0.001, `${name}: ${deviation}`);
        assert.ok(valuesOf(model, `${name}.bias`).every((value) => value === 0));
      }
      assert.throws(() => createModel('vit_nano_patch4_32', { linearInit: 'normal' as LinearInit }), /linearInit/);
    });

    it(`of ${family} start by the size of each matrix with xavier, query, key and value as three`, () => {
      const model = make('xavier').initialize(0);
      const width = family === 'swin' ? 128 : 64;
      const bounds = {
        [`${block}.attn.qkv`]: 6 / (64 + 64),
        [`${block}.attn.proj`]: 6 / (64 + 64),
        [`${block}.mlp.fc1`]: 6 / (64 + 256),
        [head]: 6 / (width + 100),
        ...(family === 'swin' && { 'layers.1.downsample.reduction': 6 / (256 + 128) }),
      };
      for (const [name, square] of Object.entries(bounds)) {
        const bound = Math.sqrt(square);
        const largest = Math.max(...valuesOf(model, `${name}.weight`).map(Math.abs));
        assert.ok(largest <= bound && largest > 0.99 * bound, `${name}: ${largest}, bound ${bound}`);
      }
    });
  }
});
