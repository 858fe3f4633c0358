// The check that ends the set-up, run on what is installed here: the addon multiplies, danfo-js loads, one TensorFlow.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';

const root = path.resolve(__dirname, '../..');
const kernel = 'kernel/jupyter/kernels/tslab/kernel.json';
const addon = 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node';

function smoke(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, ['setup/smoke.cjs', ...args], { cwd: root, encoding: 'utf8' });
  return { status, stderr };
}

describe('the check of what was installed', () => {
  it('passes here', () => {
    const { status, stderr } = smoke(kernel, addon);
    assert.equal(status, 0, stderr);
  });

  it('says what is missing, a line each', () => {
    const { status, stderr } = smoke('kernel/none.json', 'node_modules/none.node');
    assert.equal(status, 1);
    assert.match(stderr, /^The TensorFlow addon does not work: Cannot find module .*none\.node'$/m);
    assert.match(stderr, /^More than one TensorFlow is loaded: from nowhere\.$/m);
    assert.match(stderr, /^The notebook kernel \(kernel\/none\.json\) is damaged: the file is not there\.$/m);
  });
});
