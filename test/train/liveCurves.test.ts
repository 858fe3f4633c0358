// The figure that renews itself under a cell while training runs.
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { startEngine, tf } from '../../src/engine/index.js';
import { VisionTransformer } from '../../src/models/index.js';
import { type FitOptions, fit, Interrupted, LiveCurves } from '../../src/train/index.js';
import { tempDir } from '../support/tempDir.js';
import { quadrants } from '../support/toy.js';

interface Trace {
  name: string;
  x: number[];
  y: number[];
  xaxis: string;
}
interface Message {
  kind: 'display' | 'update';
  id: string;
  traces: Trace[];
}

const place = tempDir();
const global = globalThis as { vitlabKernel?: unknown };
let messages: Message[];
let kernel: Record<string, unknown>;
let cells = 0;

before(() => startEngine('tensorflow'));
beforeEach(() => {
  messages = [];
  const tracesOf = (bundle: Record<string, unknown>) => {
    assert.match(String(bundle['image/svg+xml']), /^<svg .*<\/svg>$/);
    const figure = bundle['application/vnd.plotly.v1+json'] as { data: Trace[] } | undefined;
    return structuredClone(figure?.data ?? []);
  };
  kernel = {
    cell: `cell ${++cells}`,
    watched: true,
    display: (bundle: Record<string, unknown>, _: object, id: string) =>
      messages.push({ kind: 'display', id, traces: tracesOf(bundle) }),
    updateDisplay: (id: string, bundle: Record<string, unknown>) =>
      messages.push({ kind: 'update', id, traces: tracesOf(bundle) }),
  };
  global.vitlabKernel = kernel;
});
afterEach(() => {
  delete global.vitlabKernel;
});

const model = () =>
  new VisionTransformer({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 1, numHeads: 2, numClasses: 4 }).initialize(0);
const train = (rest: Partial<FitOptions> = {}) => {
  const own = model();
  return fit({
    model: own,
    train: quadrants(),
    evaluate: quadrants({ batches: 2, seed: 2 }),
    epochs: 3,
    optimizer: { name: 'adamw' },
    schedule: { name: 'constant', baseLr: 1e-3 },
    seed: 1,
    progress: { show: () => {}, finish: () => {} },
    ...rest,
  }).finally(() => own.dispose());
};
const last = () => messages.at(-1)!.traces;

describe('live curves', () => {
  it('are one figure, which ends with every step and epoch', async () => {
    const { history } = await train({ label: 'toy' });
    assert.deepEqual([...new Set(messages.map(({ id }) => id))].length, 1);
    assert.deepEqual(
      messages.map(({ kind }) => kind),
      ['display', ...messages.slice(1).map(() => 'update')],
    );
    const [loss, evalLoss, top1, evalTop1] = last();
    assert.deepEqual(
      last().map(({ name, xaxis }) => [name, xaxis]),
      [
        ['toy', 'x'],
        ['toy, evaluated', 'x'],
        ['toy', 'x2'],
        ['toy, evaluated', 'x2'],
      ],
    );
    assert.deepEqual(
      loss!.x,
      Array.from({ length: 15 }, (_, i) => i + 1),
    );
    const mean = loss!.y.slice(0, 5).reduce((sum, value) => sum + value, 0) / 5;
    assert.ok(Math.abs(mean - history[0]!.trainLoss) < 1e-6);
    assert.deepEqual([evalLoss!.x, evalLoss!.y], [[5, 10, 15], history.map(({ evalLoss }) => evalLoss)]);
    assert.deepEqual([top1!.x, top1!.y], [[1, 2, 3], history.map(({ trainTop1 }) => trainTop1)]);
    assert.deepEqual(
      evalTop1!.y,
      history.map((record) => record.evalTop1),
    );
  });

  it('are drawn rarely, whatever the number of steps', () => {
    const curves = LiveCurves.open('many', 100_000)!;
    const began = performance.now();
    for (let step = 1; step <= 100_000; step++) curves.step(step, step);
    curves.finish();
    const allowed = 2 + (performance.now() - began) / 2000 + 1;
    assert.ok(messages.length <= allowed, `${messages.length} messages`);
    const [loss] = last();
    assert.deepEqual([loss!.x.length, loss!.x[0], loss!.y[0]], [100, 1000, 500.5]);
  });

  it('share a figure where a cell trains several, and have another in another cell', async () => {
    await train({ label: 'a', evaluate: undefined });
    await train({ label: 'b', evaluate: undefined });
    assert.deepEqual(
      last().map(({ name }) => name),
      ['a', 'b', 'a', 'b'],
    );
    kernel['cell'] = 'two';
    await train({ label: 'c', evaluate: undefined });
    assert.deepEqual(
      last().map(({ name }) => name),
      ['c', 'c'],
    );
    assert.deepEqual(messages.filter(({ kind }) => kind === 'display').length, 2);
  });

  it('are nowhere outside of notebooks, nor where one runs headless, unless they are asked for', async () => {
    kernel['watched'] = false;
    await train();
    assert.deepEqual(messages, []);
    await train({ curves: true });
    assert.ok(messages.length > 0);
    messages = [];
    kernel['watched'] = true;
    await train({ curves: false });
    delete global.vitlabKernel;
    await train({ curves: true });
    assert.deepEqual(messages, []);
  });

  it('stay when training is interrupted, go on where it goes on, and no tensor stays behind', async () => {
    const checkpoint = place('state.safetensors');
    const interrupting = () => {
      let steps = 0;
      return { show: () => void (++steps === 7 && process.emit('SIGINT')), finish: () => {} };
    };
    const stopped = (): Promise<void> =>
      assert.rejects(train({ checkpoint, label: 'kept', progress: interrupting() }), Interrupted);
    await stopped();
    const interrupted = last();
    assert.deepEqual(interrupted[0]!.x, [1, 2, 3, 4, 5, 6, 7]);

    const tensors = tf.memory().numTensors;
    kernel['cell'] = 'again';
    await train({ checkpoint, label: 'kept' });
    const [loss, , top1] = last();
    // The first epoch is known by its mean, then come the steps of this process.
    assert.deepEqual(loss!.x, [5, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert.deepEqual(top1!.x, [1, 2, 3]);

    kernel['cell'] = 'once more';
    const { steps } = await train({ checkpoint, label: 'kept' });
    assert.equal(steps, 15);
    assert.deepEqual(
      [last()[0]!.x, last()[2]!.x],
      [
        [5, 10, 15],
        [1, 2, 3],
      ],
    );
    assert.equal(tf.memory().numTensors, tensors);
  });
});
