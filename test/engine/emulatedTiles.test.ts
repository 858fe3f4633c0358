// What is computed on the tiles of AMX, where the processor has none: the same sources, with the tiles in software, beside
// their build for vectors of bfloat16, which needs a processor that multiplies it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from '../recipes/support.js';
import { processorHas } from '../support/processor.js';

const run = promisify(execFile);

describe('products and attention on tiles', () => {
  it('are those of vectors', async () => {
    if (!processorHas('avx512_bf16')) return;
    const folder = temporaryFolder();
    try {
      const wide = ['f', 'dq', 'vl', 'bw', 'bf16'].map((part) => `-mavx512${part}`);
      const common = ['-std=c++17', '-O2', '-w', '-mfma', ...wide, '-Inative', '-DVITLAB_WIDTH=16'];
      const inFolder = (name: string): string => path.join(folder.dir, name);
      const builds = ['product', 'halfAttention'].flatMap((source) =>
        ['amx', 'avx512bf16'].map(async (set) => {
          const object = inFolder(`${source}-${set}.o`);
          const tiles = set === 'amx' ? ['-include', 'test/engine/emulated/tiles.h'] : [];
          await run('c++', [...common, ...tiles, `-DVITLAB_ISA=${set}`, '-c', `native/${source}.cc`, '-o', object]);
          return object;
        }),
      );
      const program = inFolder('compare');
      await run('c++', [...common, 'test/engine/emulated/compare.cc', ...(await Promise.all(builds)), '-o', program]);
      const { stdout } = await run(program);
      const { products, attentions } = JSON.parse(stdout) as Record<string, [number, number]>;
      assert.deepEqual([products![0], attentions![0]], [56, 14]);
      // sums in another order, and within attention some numbers that are rounded to bfloat16 the other way
      assert.ok(products![1] < 1e-5 && attentions![1] < 1e-3, stdout);
    } finally {
      folder.remove();
    }
  });
});
