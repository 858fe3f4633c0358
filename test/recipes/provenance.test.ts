// What a run says about where it came from.
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { originDifferences } from '../../src/recipes/check.js';
import { gpus, threadsIn } from '../../src/recipes/provenance.js';
import { provenanceOf } from './runs.js';
import { temporaryFolder } from './support.js';

describe('provenance', () => {
  const before = process.env['PATH'];
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
    process.env['PATH'] = folder.dir;
  });
  afterEach(() => {
    process.env['PATH'] = before;
    folder.remove();
  });

  it('names GPUs and their driver where there are any', () => {
    assert.deepEqual(gpus(), []);
    const tool = path.join(folder.dir, 'nvidia-smi');
    writeFileSync(tool, `#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 550.54'\necho 'NVIDIA T4, 550.54'\n`);
    chmodSync(tool, 0o755);
    assert.deepEqual(gpus(), ['NVIDIA H100 80GB HBM3, driver 550.54', 'NVIDIA T4, driver 550.54']);
    writeFileSync(tool, '#!/bin/sh\necho no driver; exit 9\n');
    assert.deepEqual(gpus(), []);
  });

  it('counts the threads of TensorFlow', () => {
    assert.equal(threadsIn({}), os.availableParallelism());
    assert.equal(threadsIn({ TF_NUM_INTRAOP_THREADS: '3' }), 3);
    assert.equal(provenanceOf().threads, threadsIn(process.env));
  });

  it('tells what sets two runs apart, and nothing where nothing does', () => {
    const run = provenanceOf({ seed: 1, weights: [{ name: 'vit', checksum: 'sha256:1' }] });
    assert.deepEqual(originDifferences(run, { ...run, seconds: 5, startedAt: 'later' }), []);
    const other = {
      ...run,
      threads: 64,
      engine: { name: 'wasm', device: 'cpu', version: '4.22.0' },
      versions: { ...run.versions, tensorflow: '9.9' },
      git: { commit: 'c'.repeat(40), dirty: true },
      data: [{ name: 'shapes10', checksum: 'sha256:9' }],
      weights: [],
    };
    const lines = originDifferences(run, other).join('\n');
    assert.match(lines, /^commit: .* before, c{40} with uncommitted changes now$/m);
    assert.match(lines, /^engine: tensorflow 2\.21\.0 on cpu before, wasm 4\.22\.0 on cpu now$/m);
    assert.match(lines, /^threads: \d+ before, 64 now$/m);
    assert.match(lines, /^version of tensorflow: .* before, 9\.9 now$/m);
    assert.match(lines, /^data shapes10: sha256:1234 before, sha256:9 now$/m);
    assert.match(lines, /^weights vit: sha256:1 before, none now$/m);
  });
});
