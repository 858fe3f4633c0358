// Sessions that programs of the same graph use one after the other: what is loaded, what is freed, and that nothing of
// one program shows in another.
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Binding, tensorflow } from '../../src/engine/backend.js';
import { Program, startEngine, type Tensor, tf, type Variable } from '../../src/engine/index.js';
import { type FitOptions, fit } from '../../src/train/index.js';
import { quadrants, toyViT } from '../support/toy.js';

before(() => startEngine('tensorflow'));

/** Sessions that were loaded and freed in this test. */
const count = { loaded: 0, freed: 0 };
let binding: Binding;

beforeEach(() => {
  Object.assign(count, { loaded: 0, freed: 0 });
  const backend = tensorflow();
  binding = backend.binding;
  const own = binding;
  const loadSavedModel: Binding['loadSavedModel'] = (...call) => {
    count.loaded++;
    return own.loadSavedModel(...call);
  };
  const deleteSavedModel: Binding['deleteSavedModel'] = (...call) => {
    count.freed++;
    return own.deleteSavedModel(...call);
  };
  backend.binding = Object.create(own, {
    loadSavedModel: { value: loadSavedModel },
    deleteSavedModel: { value: deleteSavedModel },
  });
});

afterEach(() => {
  tensorflow().binding = binding;
});

const numberOf = (tensor: Tensor): number => {
  const [value] = tensor.dataSync();
  tensor.dispose();
  return value!;
};

/** A program that adds `factor · x` to a variable and gives the sum. */
function adder(sum: Variable, factor: () => number): (x: number) => number {
  const program = new Program().define('add', ({ x }) => {
    sum.assign(tf.add(sum, tf.mul(x!, factor())));
    return { sum: sum.clone() };
  });
  programs.push(program);
  return (x) => numberOf(program.run('add', { x })['sum']!);
}

const programs: Program[] = [];
const closeAll = (): void => {
  for (const program of programs.splice(0)) program.dispose();
};

describe('a program whose graph another one has had', () => {
  it('takes its session, with its own values', () => {
    const [first, second] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(100))];
    const add = adder(first, () => 3);
    assert.deepEqual([add(1), add(2)], [4, 10]);
    closeAll();
    assert.deepEqual(count, { loaded: 1, freed: 0 });
    const addAgain = adder(second, () => 3);
    assert.deepEqual([addAgain(1), addAgain(2)], [103, 109]);
    second.assign(tf.scalar(0));
    assert.equal(addAgain(1), 3);
    closeAll();
    assert.deepEqual(count, { loaded: 1, freed: 0 });
    assert.deepEqual([first, second].map(numberOf), [10, 3]);
  });

  it('gets a session of its own while the other runs', () => {
    const [first, second] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(100))];
    const add = adder(first, () => 5);
    const addBeside = adder(second, () => 5);
    assert.deepEqual([add(1), addBeside(1), add(2), addBeside(2)], [6, 105, 16, 115]);
    assert.equal(count.loaded, 2);
    closeAll();
    const [third, fourth] = [tf.variable(tf.scalar(0)), tf.variable(tf.scalar(0))];
    const both = [adder(third, () => 5), adder(fourth, () => 5)];
    assert.deepEqual([both[0]!(1), both[1]!(2), both[0]!(1)], [5, 10, 10]);
    assert.deepEqual(count, { loaded: 2, freed: 0 });
    closeAll();
    for (const variable of [first, second, third, fourth]) variable.dispose();
  });

  it('is another one where what the step reads from JavaScript has changed', () => {
    const sum = tf.variable(tf.scalar(0));
    let factor = 7;
    assert.equal(adder(sum, () => factor)(1), 7);
    closeAll();
    factor = 11;
    assert.equal(adder(sum, () => factor)(1), 18);
    closeAll();
    assert.equal(count.loaded, 2);
    factor = 7;
    assert.equal(adder(sum, () => factor)(1), 25);
    closeAll();
    assert.deepEqual(count, { loaded: 2, freed: 0 });
    sum.dispose();
  });

  it('casts and packs its own weights in bf16', () => {
    const run = (weight: number): number => {
      const weights = tf.variable(tf.fill([64, 48], weight));
      const program = new Program({ precision: 'bf16' }).define('sum', ({ x }) => ({
        sum: tf.sum(tf.matMul(x!, weights)),
      }));
      const x = tf.ones([32, 64]);
      const sum = numberOf(program.run('sum', { x })['sum']!);
      program.dispose();
      tf.dispose([x, weights]);
      return sum / (32 * 64 * 48);
    };
    assert.deepEqual([run(2), run(3), run(0.5)], [2, 3, 0.5]);
    assert.deepEqual(count, { loaded: 1, freed: 0 });
  });

  it('may add steps, as the other did', () => {
    const run = (start: number): number[] => {
      const sum = tf.variable(tf.scalar(start));
      const program = new Program()
        .define('add', ({ x }) => {
          sum.assign(tf.add(sum, tf.mul(x!, 13)));
          return {};
        })
        .define('read', () => ({ sum: tf.mul(sum, 2) }));
      tf.dispose(program.run('add', { x: 1 }));
      const read = numberOf(program.run('read', {})['sum']!);
      program.dispose();
      return [read, numberOf(sum)];
    };
    assert.deepEqual(run(0), [26, 13]);
    assert.deepEqual(run(100), [226, 113]);
    assert.deepEqual(count, { loaded: 2, freed: 0 });
  });

  it('frees those that were closed first where there are many, and a large one at once', () => {
    const megabytes = (size: number, factor: number): void => {
      const values = tf.variable(tf.fill([size, 2 ** 18], 1));
      const program = new Program().define('sum', () => ({ sum: tf.mul(tf.sum(values), factor) }));
      assert.equal(numberOf(program.run('sum', {})['sum']!), factor * size * 2 ** 18);
      program.dispose();
      values.dispose();
    };
    for (const factor of [2, 4, 8]) megabytes(100, factor);
    const { freed } = count;
    assert.ok(freed >= 1);
    megabytes(100, 8);
    assert.deepEqual(count, { loaded: 3, freed });
    megabytes(100, 2);
    assert.deepEqual(count, { loaded: 4, freed: freed + 1 });
    megabytes(300, 2);
    assert.deepEqual(count, { loaded: 5, freed: freed + 2 });
  });
});

describe('fit', () => {
  const run = async (overrides: Partial<FitOptions> = {}) => {
    const model = toyViT({ depth: 1 });
    const { history } = await fit({
      model,
      train: quadrants(),
      evaluate: quadrants({ batches: 3, seed: 2, lastBatch: 7 }),
      epochs: 2,
      optimizer: { name: 'adamw', weightDecay: 0.05 },
      schedule: { name: 'warmupCosine', baseLr: 3e-3 },
      seed: 5,
      progress: { show: () => {}, finish: () => {} },
      ...overrides,
    });
    const values = Object.values(model.stateDict()).map((tensor) => [...tensor.dataSync()]);
    model.dispose();
    const losses = history.map(({ trainLoss, evalLoss }) => [trainLoss, evalLoss]);
    return { values, losses };
  };

  it('loads nothing the second time, and gives the same bits', async () => {
    const first = await run();
    assert.ok(count.loaded > 0);
    const { loaded } = count;
    assert.deepEqual(await run(), first);
    assert.equal(count.loaded, loaded);
  });

  it('of other rates and seeds uses the same graph, and gives other numbers', async () => {
    const first = await run();
    const { loaded } = count;
    const faster = await run({ schedule: { name: 'warmupCosine', baseLr: 6e-3 } });
    const reseeded = await run({ seed: 6 });
    assert.equal(count.loaded, loaded);
    assert.notDeepEqual(faster.losses, first.losses);
    assert.notDeepEqual(reseeded.losses, first.losses);
    assert.deepEqual(await run(), first);
  });

  it('of another decay loads another graph', async () => {
    const first = await run();
    const { loaded } = count;
    const decayed = await run({ optimizer: { name: 'adamw', weightDecay: 0.5 } });
    assert.ok(count.loaded > loaded);
    assert.notDeepEqual(decayed.values, first.values);
  });

  it('in bf16 has a graph of its own, and gives the same bits again', async () => {
    const bf16 = await run({ precision: 'bf16' });
    assert.deepEqual(await run({ precision: 'bf16' }), bf16);
    assert.notDeepEqual(bf16.values, (await run()).values);
  });
});
