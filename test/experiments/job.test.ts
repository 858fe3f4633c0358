import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { writeSafetensors } from '../../src/checkpoint/index.js';
import { startEngine } from '../../src/engine/index.js';
import { CheckpointError, TrainingError, UsageError } from '../../src/errors.js';
import { collectRecords, runJob, type TransferJob } from '../../src/experiments/index.js';
import { createModel } from '../../src/models/index.js';
import { recordOf } from '../../src/nn/index.js';
import { Interrupted } from '../../src/train/index.js';
import { tempDir } from '../support/tempDir.js';

const place = tempDir();
const SETTINGS = { patchSize: 8, embedDim: 16, depth: 1 };

const job = (dir: string, changes: Partial<TransferJob> = {}): TransferJob => ({
  name: 'LoRA',
  model: 'vit_nano_patch4_32',
  settings: SETTINGS,
  weights: place('backbone.safetensors'),
  method: 'lora',
  options: { r: 2 },
  data: 'shapes10?train=32&test=20',
  budget: {
    epochs: 2,
    batchSize: 16,
    optimizer: { name: 'adamw' },
    schedule: { name: 'constant', baseLr: 0.01 },
    augmentation: 'none',
    seed: 1,
  },
  dir: place(dir),
  ...changes,
});

before(async () => {
  await startEngine('tensorflow');
  const model = createModel('vit_nano_patch4_32', { ...SETTINGS, numClasses: 100 }, { seed: 0 });
  writeSafetensors(
    place('backbone.safetensors'),
    recordOf(model, () => true),
  );
});

describe('a job in a process of its own', () => {
  it('trains, tells its epochs and records its peak memory', async () => {
    const epochs: number[] = [];
    const record = await runJob(job('one'), { onEpoch: ({ epoch }) => void epochs.push(epoch) });
    assert.deepEqual(epochs, [1, 2]);
    assert.ok(record.peakMemoryBytes! > 2 ** 26 && record.peakMemoryBytes! < 2 ** 34);
    assert.match(record.machine, /\d+ cores$/);
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(place('one'), 'transfer.json'), 'utf8')).key, record.key);
  });

  it('leaves the test images alone where it holds out training images', async () => {
    const record = await runJob(job('held', { data: 'shapes10?train=40&test=20', holdOut: 0.25 }));
    const test = record.decidedBy['test'] as { name: string };
    assert.equal(test.name, 'shapes10');
    assert.equal((record.top1 * 10) % 1, 0, 'a share of ten images, one of each class');
    assert.equal(record.history[0]!.steps, 1, 'thirty images are one full batch');
    await assert.rejects(runJob(job('held', { holdOut: 1 })), UsageError);
  });

  it('passes on what goes wrong, as the error that it is', async () => {
    await assert.rejects(runJob(job('wrong', { options: { rank: 2 } })), UsageError);
    await assert.rejects(runJob(job('wrong', { settings: { ...SETTINGS, depth: 2 } })), CheckpointError);
    await assert.rejects(runJob(job('wrong', { weights: place('none.safetensors') })), /none\.safetensors/);
  });

  it('stops when this process is interrupted, and goes on when it is run again', async () => {
    const long = { ...job('stopped').budget, epochs: 40 };
    const stop = { onEpoch: () => void process.emit('SIGINT') };
    await assert.rejects(runJob(job('stopped', { budget: long }), stop), Interrupted);
    const left = fs.readdirSync(place('stopped'));
    assert.ok(left.some((file) => file.startsWith('state-')) && !left.includes('transfer.json'));
    const epochs: number[] = [];
    const again = { onEpoch: ({ epoch }: { epoch: number }) => void epochs.push(epoch) };
    const record = await runJob(job('stopped', { budget: long }), again);
    assert.equal(record.history.length, 40);
    assert.ok(epochs[0]! > 1 && epochs.at(-1) === 40, `went on with epoch ${epochs[0]}`);
  });

  it('says how a process died that said nothing itself', async () => {
    process.env['NODE_OPTIONS'] = `--require ${place('none.cjs')}`;
    try {
      await assert.rejects(
        runJob(job('died')),
        (error) =>
          error instanceof TrainingError &&
          /\(exit status 1: Error: Cannot find module .*none\.cjs/.test(error.message),
      );
    } finally {
      delete process.env['NODE_OPTIONS'];
    }
  });
});

describe('records of many jobs', () => {
  it('are read where they are, and trained where they are not', async () => {
    const jobs = (run: string): TransferJob[] => [
      job(`${run}/lora`),
      job(`${run}/linear`, { name: 'linear probe', method: 'linear', options: {} }),
    ];
    const said: string[] = [];
    const onJob = ({ name }: TransferJob, from: string) => void said.push(`${name} ${from}`);
    await collectRecords([jobs('earlier')[0]!], { onJob });
    const collected = await collectRecords(jobs('now'), { runs: [place('earlier')], onJob });
    assert.deepEqual(said, ['LoRA trained', 'LoRA read', 'linear probe trained']);
    assert.deepEqual(
      collected.map(({ from, dir, record }) => [from, dir, record.method]),
      [
        ['read', place('earlier/lora'), 'lora'],
        ['trained', place('now/linear'), 'linear'],
      ],
    );
    const resumed = await collectRecords(jobs('now'), { runs: [place('earlier')], onEpoch: () => assert.fail() });
    assert.deepEqual(resumed, collected, 'a second time nothing is trained, and the same is said');
    await assert.rejects(collectRecords(jobs('now'), { runs: [place('nowhere')] }), UsageError);
  });
});
