// What a machine may lack: each is one sentence with the remedy, exit code 2, and nothing is installed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClone, type RunOptions } from './clone.js';

const all = ['npm', 'python3', 'c++'];
const noDisk = `
  const fs = require('node:fs');
  fs.statfsSync = () => ({ bavail: 1000, bsize: 1e6 });
  require('node:module').syncBuiltinESMExports();
`;
const oldNode = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.19.0' } });";

interface Lack extends RunOptions {
  name: string;
  tools?: string[];
  preload?: string;
  sentences: RegExp[];
}

const lacks: Lack[] = [
  { name: 'npm', tools: ['python3', 'c++'], sentences: [/^npm was not found: install Node with npm from \S+ .*\.$/] },
  {
    name: 'a compiler',
    tools: ['npm', 'python3'],
    sentences: [/^A C\+\+ compiler was not found: install g\+\+ .*\.$/],
  },
  { name: 'Python', tools: ['npm', 'c++'], sentences: [/^Python was not found: install Python 3\.10 .*\.$/] },
  {
    name: 'a Python that is new enough',
    env: { FAKE_PYTHON: '3.9.2' },
    sentences: [/^Python 3\.10 to 3\.14 is needed, but python3 is 3\.9\.2: install .*\.$/],
  },
  {
    name: 'venv',
    env: { FAKE_NO_VENV: '1' },
    sentences: [/^python3 \(3\.11\.7\) has no venv module: install it .*python3\.11-venv\)\.$/],
  },
  {
    name: 'room',
    preload: noDisk,
    sentences: [/^The set-up needs \d+\.\d GB of free disk in .* there are 1\.0 GB: .*\.$/],
  },
  {
    name: 'the network',
    env: { FAKE_OFFLINE: '1' },
    sentences: [/^The npm registry cannot be reached: .*\.$/, /^The Python package index cannot be reached: .*\.$/],
  },
  {
    name: 'a new Node',
    preload: oldNode,
    sentences: [/^vitlab needs Node 20 or newer, but this is Node 18\.19\.0 .*\.$/],
  },
  {
    name: 'several things',
    tools: ['npm'],
    env: { FAKE_OFFLINE: '1' },
    sentences: [/^Python was not found/, /^A C\+\+ compiler was not found/],
  },
];

describe('a machine that lacks', () => {
  for (const { name, tools = all, preload, sentences, ...options } of lacks) {
    it(`${name} is told so`, async () => {
      const clone = new FakeClone(tools);
      try {
        if (preload !== undefined) {
          clone.write('preload.cjs', preload);
          options.nodeArgs = ['--require', './preload.cjs'];
        }
        const { code, out, err } = await clone.run(options);
        assert.deepEqual([code, out], [2, '']);
        const lines = err.trimEnd().split('\n');
        assert.equal(lines.length, sentences.length, err);
        for (const [index, sentence] of sentences.entries()) assert.match(lines[index]!, sentence);
        assert.deepEqual(clone.calls(), []);
        for (const folder of ['node_modules', '.venv', '.vitlab/tensorflow']) assert.ok(!clone.has(folder), folder);
        assert.deepEqual(clone.flags(), []);
      } finally {
        clone.remove();
      }
    });
  }

  it('the network needs none once all is installed', async () => {
    const clone = new FakeClone();
    try {
      assert.equal((await clone.run()).code, 0);
      assert.deepEqual(await clone.run({ env: { FAKE_OFFLINE: '1' } }), { code: 0, out: '', err: '' });
    } finally {
      clone.remove();
    }
  });
});
