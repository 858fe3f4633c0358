import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { TrainingError, UsageError } from '../../src/errors.js';
import type { VisionTransformer } from '../../src/models/index.js';
import {
  type BatchSource,
  ConfusionMatrix,
  evaluate,
  type FitOptions,
  fit,
  Interrupted,
  predict,
  readPosition,
} from '../../src/train/index.js';
import { quadrants, toyViT } from '../support/toy.js';

before(() => startEngine('tensorflow'));

const silent = { show: () => {}, finish: () => {} };
const smallViT = (): VisionTransformer => toyViT({ depth: 2 });

const options = (overrides: Partial<FitOptions> = {}): FitOptions => ({
  model: smallViT(),
  train: quadrants(),
  evaluate: quadrants({ batches: 3, seed: 2, lastBatch: 7 }),
  epochs: 3,
  optimizer: { name: 'adamw', weightDecay: 0.05 },
  schedule: { name: 'warmupCosine', baseLr: 3e-3 },
  seed: 11,
  progress: silent,
  ...overrides,
});

const weights = (model: VisionTransformer): Record<string, number[]> =>
  Object.fromEntries(Object.entries(model.stateDict()).map(([name, tensor]) => [name, [...tensor.dataSync()]]));

const folder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-trainer-'));

describe('fit', () => {
  it('learns, and evaluates every example once whatever the last batch', async () => {
    const model = smallViT();
    const evaluation = quadrants({ batches: 6, seed: 2, lastBatch: 7 });
    const result = await fit(options({ model, epochs: 12, train: quadrants({ batches: 10 }), evaluate: evaluation }));
    assert.equal(result.steps, 120);
    assert.equal(result.history.length, 12);
    const last = result.history.at(-1)!;
    assert.ok(last.evalTop1! > 0.8, `top-1 ${last.evalTop1}`);
    assert.ok(last.trainLoss < 0.6 * result.history[0]!.trainLoss);
    const again = await evaluate(model, evaluation);
    assert.equal(again.examples, 87);
    assert.ok(Math.abs(again.top1 - last.evalTop1!) < 1e-9 && Math.abs(again.loss - last.evalLoss!) < 1e-5);
    assert.ok(again.top5 === 1, 'with four classes every label is among the best five');
  });

  it('gives the same numbers twice, and other numbers for another seed', async () => {
    const run = async (seed: number): Promise<Record<string, number[]>> => {
      const model = smallViT();
      await fit(options({ model, seed }));
      return weights(model);
    };
    const first = await run(11);
    assert.deepEqual(await run(11), first);
    assert.notDeepEqual(await run(12), first);
  });

  it('does not let evaluation change training', async () => {
    const [withEvaluation, without] = [smallViT(), smallViT()];
    await fit(options({ model: withEvaluation }));
    const { evaluate: _, ...rest } = options({ model: without });
    await fit(rest);
    assert.deepEqual(weights(withEvaluation), weights(without));
  });

  it('changes only what is trainable', async () => {
    const model = smallViT().setTrainable((name) => name.startsWith('head'));
    const start = weights(model);
    await fit(options({ model }));
    for (const [name, values] of Object.entries(weights(model))) {
      if (name.startsWith('head')) assert.notDeepEqual(values, start[name], name);
      else assert.deepEqual(values, start[name], name);
    }
  });

  it('keeps the number of tensors flat over steps', async () => {
    for (const mode of ['eager', 'replay'] as const) {
      const counts: number[] = [];
      const counted: BatchSource = { ...quadrants({ batches: 50 }), epoch: quadrants({ batches: 50 }).epoch };
      const source: BatchSource = {
        ...counted,
        async *epoch(epoch, rest) {
          for await (const batch of counted.epoch(epoch, rest)) {
            counts.push(tf.memory().numTensors);
            yield batch;
          }
        },
      };
      await fit(options({ train: source, epochs: 1, mode }));
      assert.equal(counts.length, 50);
      assert.deepEqual(new Set(counts.slice(2)).size, 1, `${mode}: ${counts}`);
    }
  });

  it('takes up a stopped run and ends bit for bit as an uninterrupted one', async () => {
    const whole = smallViT();
    const expected = await fit(options({ model: whole }));
    const dir = folder();
    const checkpoint = path.join(dir, 'state.safetensors');
    const stopAt = (batches: number): BatchSource => {
      const source = quadrants();
      let seen = 0;
      return {
        ...source,
        async *epoch(epoch, rest) {
          for await (const batch of source.epoch(epoch, rest)) {
            if (++seen === batches) process.emit('SIGINT');
            yield batch;
          }
        },
      };
    };
    const first = smallViT();
    await assert.rejects(fit(options({ model: first, checkpoint, train: stopAt(7) })), (error: Error) => {
      return error instanceof Interrupted && /after step 7 in epoch 2/.test(error.message);
    });
    assert.equal(readPosition(checkpoint).step, 7);
    const resumed = smallViT();
    const result = await fit(options({ model: resumed, checkpoint }));
    assert.ok(result.resumed);
    assert.deepEqual(weights(resumed), weights(whole));
    const figures = (history: typeof result.history): unknown =>
      history.map(({ imagesPerSecond: _speed, waiting: _waiting, ...rest }) => rest);
    assert.deepEqual(figures(result.history), figures(expected.history));
    const finished = await fit(options({ model: smallViT(), checkpoint }));
    assert.equal(finished.steps, 15, 'a finished run is not trained again');
    fs.rmSync(dir, { recursive: true });
  });

  it('goes on after a stop within an evaluation, whose loss may be no number', async () => {
    const dir = folder();
    const checkpoint = path.join(dir, 'state.safetensors');
    const source = quadrants({ batches: 3, seed: 2 });
    const evaluation = (stops: boolean): BatchSource => ({
      ...source,
      async *epoch(epoch, rest) {
        for await (const batch of source.epoch(epoch, rest)) {
          if (stops) process.emit('SIGINT');
          yield { ...batch, images: batch.images.map(() => Number.NaN) };
        }
      },
    });
    const run = (stops: boolean) =>
      fit(options({ model: smallViT(), epochs: 1, checkpoint, evaluate: evaluation(stops) }));
    await assert.rejects(run(true), Interrupted);
    const [record] = (await run(false)).history;
    assert.ok(record!.imagesPerSecond > 0, 'the speed is that of the steps before the stop');
    assert.ok(Number.isNaN(record!.evalLoss));
    const again = await run(false);
    assert.deepEqual([again.steps, again.history[0]!.evalLoss], [5, Number.NaN]);
    fs.rmSync(dir, { recursive: true });
  });

  it('refuses the state of another run', async () => {
    const dir = folder();
    const checkpoint = path.join(dir, 'state.safetensors');
    await fit(options({ checkpoint, epochs: 1 }));
    const others = [
      { epochs: 2 },
      { train: { ...quadrants(), identity: 'other data' } },
      { classWeights: [1, 1, 1, 2] },
      { meanOver: 'examples' as const },
    ];
    for (const other of others) {
      await assert.rejects(fit(options({ checkpoint, epochs: 1, ...other })), (error: Error) => {
        return error instanceof TrainingError && /checkpoint of another run/.test(error.message);
      });
    }
    fs.rmSync(dir, { recursive: true });
  });

  it('stops at a non-finite loss with step, learning rate and the last finite loss', async () => {
    const diverging = options({
      optimizer: { name: 'sgd' },
      schedule: { name: 'constant', baseLr: 1e30 },
    });
    await assert.rejects(fit(diverging), (error: Error) => {
      return (
        error instanceof TrainingError &&
        /The loss is (NaN|-?Infinity) at step \d+ \(learning rate 1e\+30\); the last finite loss was \d/.test(
          error.message,
        )
      );
    });
    await assert.rejects(fit(options({ optimizer: { name: 'adamw', lr: 1 } as never })), UsageError);
  });

  it('writes event files that follow the record format', async () => {
    const dir = folder();
    await fit(options({ logDir: dir, epochs: 1 }));
    const [file] = fs.readdirSync(dir);
    const bytes = fs.readFileSync(path.join(dir, file!));
    let records = 0;
    for (let at = 0; at < bytes.length; records++) at += 16 + Number(bytes.readBigUInt64LE(at));
    assert.equal(records, 1 + 5 + 1, 'the version, five steps, one epoch');
    assert.ok(bytes.includes('train/loss') && bytes.includes('epoch/eval_top1'));
    fs.rmSync(dir, { recursive: true });
  });
});

describe('class weights in fit', () => {
  it('raise the accuracy of the class that they favour', async () => {
    const share = async (classWeights?: number[]): Promise<number> => {
      const model = smallViT();
      await fit(options({ model, epochs: 2, ...(classWeights && { classWeights }) }));
      const { labels, predicted } = await predict(model, quadrants({ batches: 6, seed: 2 }));
      const matrix = new ConfusionMatrix(4);
      matrix.add(labels, predicted);
      return matrix.perClass[2]!;
    };
    const [without, favoured] = [await share(), await share([0.1, 0.1, 5, 0.1])];
    assert.ok(favoured > without + 0.2, `${without} and ${favoured}`);
  });
});

describe('predict', () => {
  it('gives every image its class once, in order, and agrees with evaluate', async () => {
    const model = smallViT();
    await fit(options({ model }));
    const source = quadrants({ batches: 3, seed: 2, lastBatch: 7 });
    const { labels, predicted } = await predict(model, source);
    const expected: number[] = [];
    for await (const batch of source.epoch(0)) expected.push(...batch.labels);
    assert.deepEqual([...labels], expected);
    assert.equal(predicted.length, 39);
    const matrix = new ConfusionMatrix(4);
    matrix.add(labels, predicted);
    assert.ok(Math.abs(matrix.accuracy - (await evaluate(model, source)).top1) < 1e-9);
    const { numTensors } = tf.memory();
    await predict(model, source);
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it('stops when it is interrupted', async () => {
    const source = quadrants();
    const stopping: BatchSource = {
      ...source,
      async *epoch(epoch, rest) {
        process.emit('SIGINT');
        yield* source.epoch(epoch, rest);
      },
    };
    await assert.rejects(predict(smallViT(), stopping), Interrupted);
  });
});

describe('kill -9', () => {
  it('at any moment leaves a state from which the run ends bit for bit the same', { timeout: 120_000 }, async () => {
    const dir = folder();
    const script = path.join(__dirname, '..', 'support', 'trainToy.ts');
    const start = (name: string): ReturnType<typeof spawn> =>
      spawn(process.execPath, ['--import', 'tsx', script, path.join(dir, name)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const ended = (child: ReturnType<typeof spawn>): Promise<number | null> =>
      new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    assert.equal(await ended(start('whole')), 0);
    for (let kills = 0; kills < 3; kills++) {
      const child = start('killed');
      const exit = ended(child);
      await new Promise<void>((resolve) => {
        let steps = 0;
        child.stdout!.on('data', (text: Buffer) => {
          steps += text.toString().split('step').length - 1;
          if (steps >= 4 + 3 * kills) resolve();
        });
        child.once('exit', () => resolve());
      });
      child.kill('SIGKILL');
      await exit;
    }
    assert.ok(!fs.existsSync(path.join(dir, 'killed', 'final.safetensors')), 'it was killed before its end');
    assert.ok(readPosition(path.join(dir, 'killed', 'state.safetensors')).step > 0, 'and had saved its state');
    assert.equal(await ended(start('killed')), 0);
    const final = (name: string): Buffer => fs.readFileSync(path.join(dir, name, 'final.safetensors'));
    assert.ok(final('whole').equals(final('killed')), 'the weights are the same bytes');
    fs.rmSync(dir, { recursive: true });
  });
});
