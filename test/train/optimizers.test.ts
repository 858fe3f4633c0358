import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, tf } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import type { Parameter } from '../../src/nn/index.js';
import { createOptimizer, decayGroups, type Optimizer, type OptimizerConfig } from '../../src/train/index.js';
import { assertClose, gradients, parameterOf, parameters, randomTensor, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const CONFIGS: readonly OptimizerConfig[] = [
  { name: 'sgd' },
  { name: 'sgd', momentum: 0.9, dampening: 0.4, weightDecay: 0.01 },
  { name: 'sgd', momentum: 0.9, nesterov: true },
  { name: 'momentum', momentum: 0.9, weightDecay: 5e-4, useNesterov: true },
  { name: 'adam', weightDecay: 0.1 },
  { name: 'adamw' },
  { name: 'lars', weightDecay: 1e-3, trustCoefficient: 0.1 },
];

function update(optimizer: Optimizer, step: number, learningRate = 0.01, std = 1): void {
  tf.tidy(() => {
    const inputs = { learningRate: tf.scalar(learningRate), step: tf.scalar(step) };
    optimizer.apply(gradients(step, std), inputs);
  });
}

const state = (all: Map<string, Parameter>): number[] => [...all.values()].flatMap(({ value }) => values(value));

for (const config of CONFIGS) {
  describe(JSON.stringify(config), () => {
    it('changes what is trainable and leaves a frozen parameter bit for bit', () => {
      const all = parameters();
      const beforehand = new Map([...all].map(([name, { value }]) => [name, values(value)]));
      const optimizer = createOptimizer(config, all);
      assert.deepEqual([...optimizer.parameters().keys()], ['weight', 'bias']);
      for (let step = 1; step <= 3; step++) update(optimizer, step);
      assert.deepEqual(values(all.get('frozen')!.value), beforehand.get('frozen'));
      for (const name of ['weight', 'bias']) {
        const after = values(all.get(name)!.value);
        assert.ok(after.every((value, i) => Number.isFinite(value) && value !== beforehand.get(name)![i]));
      }
    });

    it('does the same in a replayed graph', () => {
      const run = (mode: 'eager' | 'replay'): number[] => {
        const all = parameters();
        const optimizer = createOptimizer(config, all);
        const program = new Program({ mode }).define('update', ({ weight, bias, learningRate, step }) => {
          const given = new Map([
            ['weight', weight!],
            ['bias', bias!],
          ]);
          optimizer.apply(given, { learningRate: learningRate!, step: step! });
          return { step: step! };
        });
        for (let step = 1; step <= 4; step++) {
          program.run('update', { ...Object.fromEntries(gradients(step)), learningRate: 0.01 / step, step });
        }
        program.dispose();
        return [...state(all), ...[...optimizer.slots.values()].flatMap(values)];
      };
      assertClose(run('replay'), run('eager'), 1e-6);
    });

    it('goes on where it was, given parameters and slots', () => {
      const whole = parameters();
      const straight = createOptimizer(config, whole);
      const first = parameters();
      const stopped = createOptimizer(config, first);
      for (let step = 1; step <= 2; step++) for (const optimizer of [straight, stopped]) update(optimizer, step);
      const second = new Map(
        [...first].map(([name, { shape, value }]) => [name, parameterOf([...shape], values(value))]),
      );
      second.get('frozen')!.trainable = false;
      const resumed = createOptimizer(config, second);
      for (const [name, slot] of resumed.slots) slot.assign(stopped.slots.get(name)!);
      update(straight, 3);
      update(resumed, 3);
      assert.deepEqual(state(second), state(whole));
    });

    it('keeps the number of tensors', () => {
      const optimizer = createOptimizer(config, parameters());
      update(optimizer, 1);
      const { numTensors } = tf.memory();
      for (let step = 2; step <= 4; step++) update(optimizer, step);
      assert.equal(tf.memory().numTensors, numTensors);
      optimizer.dispose();
      assert.equal(tf.memory().numTensors, numTensors - optimizer.slots.size);
    });
  });
}

describe('slots', () => {
  it('are zeros named by slot and parameter from the start', () => {
    const { slots } = createOptimizer({ name: 'adamw' }, parameters());
    assert.deepEqual([...slots.keys()], ['exp_avg/weight', 'exp_avg_sq/weight', 'exp_avg/bias', 'exp_avg_sq/bias']);
    assert.ok([...slots.values()].every((slot) => values(slot).every((value) => value === 0)));
    assert.equal(createOptimizer({ name: 'sgd' }, parameters()).slots.size, 0);
  });
});

describe('Adam', () => {
  it('moves no entry further than lr · (1 - β₁) / √(1 - β₂), and about lr at first', () => {
    for (const scale of [1e-3, 1, 1e6]) {
      const all = parameters();
      const optimizer = createOptimizer({ name: 'adam' }, all);
      for (let step = 1; step <= 20; step++) {
        const beforehand = state(all);
        update(optimizer, step, 0.01, scale * step ** 2);
        const moved = state(all).map((value, i) => Math.abs(value - beforehand[i]!));
        assert.ok(Math.max(...moved) <= 0.01 * (0.1 / Math.sqrt(0.001)) * 1.001, `step ${step}: ${Math.max(...moved)}`);
        if (step === 1) assertClose(moved.slice(0, 16), Array(16).fill(0.01), 1e-5);
      }
    }
  });

  it('corrects its moments right at large step numbers', () => {
    const change = (step: number): number => {
      const all = new Map([['p', parameterOf([1], [0])]]);
      const optimizer = createOptimizer({ name: 'adam', epsilon: 1e-30 }, all);
      tf.tidy(() => {
        optimizer.apply(new Map([['p', tf.tensor1d([1])]]), { learningRate: tf.scalar(1), step: tf.scalar(step) });
      });
      return values(all.get('p')!.value)[0]!;
    };
    for (const step of [1, 2, 10, 1000, 1e6]) {
      const exact = -(0.1 / (1 - 0.9 ** step)) / Math.sqrt(0.001 / (1 - 0.999 ** step));
      assert.ok(Math.abs(change(step) / exact - 1) < 1e-6, `step ${step}: ${change(step)} instead of ${exact}`);
    }
  });
});

describe('AdamW', () => {
  it('shrinks by lr · weightDecay where the gradient is 0', () => {
    const all = new Map([['p', parameterOf([2], [1, -2])]]);
    const optimizer = createOptimizer({ name: 'adamw', weightDecay: 0.5 }, all);
    tf.tidy(() =>
      optimizer.apply(new Map([['p', tf.zeros([2])]]), { learningRate: tf.scalar(0.1), step: tf.scalar(1) }),
    );
    assertClose(values(all.get('p')!.value), [0.95, -1.9], 1e-7);
  });
});

describe('LARS', () => {
  it('takes the same step for a scaled gradient of a weight, and a scaled step for a bias', () => {
    const run = (scale: number): { weight: number[]; bias: number[] } => {
      const all = parameters();
      const optimizer = createOptimizer({ name: 'lars' }, all);
      tf.tidy(() => {
        const scaled = new Map([...gradients(1)].map(([name, gradient]) => [name, tf.mul(gradient, scale)]));
        optimizer.apply(scaled, { learningRate: tf.scalar(0.1), step: tf.scalar(1) });
      });
      const start = parameters();
      const moved = (name: string): number[] => {
        const from = values(start.get(name)!.value);
        return values(all.get(name)!.value).map((value, i) => value - from[i]!);
      };
      return { weight: moved('weight'), bias: moved('bias') };
    };
    const [once, thrice] = [run(1), run(3)];
    assertClose(thrice.weight, once.weight, 1e-6);
    assertClose(
      thrice.bias,
      once.bias.map((value) => 3 * value),
      1e-6,
    );
    const size = Math.hypot(...once.weight);
    const norm = Math.hypot(...values(parameters().get('weight')!.value));
    assert.ok(Math.abs(size - 0.1 * 0.001 * norm) < 1e-6, 'a step has the length lr · trust · |p|');
  });
});

describe('parameter groups', () => {
  it('spares norms and biases from decay, and what is named', () => {
    const all = parameters();
    const names = (except?: (name: string) => boolean): string[][] =>
      decayGroups(all, 0.05, except && { except }).map((group) => [...group.parameters.keys()]);
    assert.deepEqual(names(), [['weight', 'frozen'], ['bias']]);
    assert.deepEqual(
      names((name) => name === 'weight'),
      [['frozen'], ['weight', 'bias']],
    );
    assert.deepEqual(
      decayGroups(all, 0.05).map((group) => group.weightDecay),
      [0.05, 0],
    );
  });

  it('have their own decay and learning rate', () => {
    const all = parameters();
    const start = parameters();
    const groups = [
      { parameters: new Map([['weight', all.get('weight')!]]), weightDecay: 0.5 },
      { parameters: new Map([['bias', all.get('bias')!]]), lrScale: 0.1, weightDecay: 0 },
    ];
    const optimizer = createOptimizer({ name: 'sgd', weightDecay: 9 }, groups);
    update(optimizer, 1, 0.2);
    const given = gradients(1);
    for (const [name, rate, decay] of [
      ['weight', 0.2, 0.5],
      ['bias', 0.02, 0],
    ] as const) {
      const gradient = values(given.get(name)!);
      const expected = values(start.get(name)!.value).map((p, i) => p - rate * (gradient[i]! + decay * p));
      assertClose(values(all.get(name)!.value), expected, 1e-6);
    }
  });
});

describe('what an optimiser refuses', () => {
  const inputs = () => ({ learningRate: tf.scalar(0.1), step: tf.scalar(1) });

  it('unknown names and keys, naming the nearest', () => {
    const bad = (config: object) => () => createOptimizer(config as OptimizerConfig, parameters());
    assert.throws(bad({ name: 'adamv' }), (error) => error instanceof UsageError && /adamw?\?/.test(error.message));
    assert.throws(bad({}), UsageError);
    assert.throws(bad({ name: 'sgd', momentun: 0.9 }), /Did you mean momentum\?/);
    assert.throws(bad({ name: 'sgd', momentum: 1.5 }), /sgd .*momentum/);
    assert.throws(bad({ name: 'sgd', nesterov: true }), /nesterov needs a momentum/);
    assert.throws(bad({ name: 'adamw', betas: [0.9, 1] }), UsageError);
    assert.throws(bad({ name: 'constructor' }), UsageError);
  });

  it('a learning rate or step that is no scalar', () => {
    const optimizer = createOptimizer({ name: 'sgd' }, parameters());
    assert.throws(() => optimizer.apply(gradients(1), { ...inputs(), learningRate: tf.tensor1d([0.1]) }), ShapeError);
    assert.throws(
      () => optimizer.apply(gradients(1), { ...inputs(), step: randomTensor(1, [1]) }),
      /step must be a scalar/,
    );
  });

  it('gradients that are not those of its parameters', () => {
    const optimizer = createOptimizer({ name: 'sgd' }, parameters());
    const [weight, bias] = [...gradients(1).values()];
    assert.throws(() => optimizer.apply(new Map([['weight', weight!]]), inputs()), /no gradient for bias/);
    const foreign = new Map([...gradients(1), ['frozen', bias!]]);
    assert.throws(() => optimizer.apply(foreign, inputs()), /gradient for frozen/);
  });

  it('nothing to train, a parameter in two groups, a negative decay', () => {
    const all = parameters();
    const frozen = new Map([['frozen', all.get('frozen')!]]);
    assert.throws(() => createOptimizer({ name: 'sgd' }, frozen), /no trainable parameter/);
    assert.throws(() => createOptimizer({ name: 'sgd' }, [{ parameters: all }, { parameters: all }]), /two groups/);
    assert.throws(() => createOptimizer({ name: 'sgd' }, [{ parameters: all, weightDecay: -1 }]), UsageError);
    assert.throws(() => createOptimizer({ name: 'sgd' }, [{ parameters: all, lrScale: Number.NaN }]), UsageError);
  });
});
