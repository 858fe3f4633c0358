import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { tensorflow } from '../../src/engine/backend.js';
import {
  Program,
  RandomKey,
  type Step,
  startEngine,
  type Tensor,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { CaptureError, UsageError } from '../../src/errors.js';

before(() => startEngine('tensorflow'));

const values = (tensor: Tensor): number[] => [...tensor.dataSync()];

/** A linear regression with momentum: two variables, one of them a slot. */
function regression(): { weight: tf.Variable; slot: tf.Variable; step: Step; loss: Step } {
  const weight = tf.variable(tf.tensor2d([0.5, -1, 2, 0.25], [2, 2]));
  const slot = tf.variable(tf.zeros([2, 2]));
  const error = (x: Tensor, y: Tensor): Tensor =>
    tf.mean(tf.square(tf.sub(tf.matMul(x as tf.Tensor2D, weight as tf.Tensor2D), y)));
  return {
    weight,
    slot,
    step: ({ x, y, learningRate }) => {
      const { value, gradients } = valueAndGradients(() => error(x!, y!), [weight]);
      slot.assign(tf.add(tf.mul(slot, 0.9), gradients[0]!));
      weight.assign(tf.sub(weight, tf.mul(slot, learningRate!)));
      return { loss: value };
    },
    loss: ({ x, y }) => ({ loss: error(x!, y!) }),
  };
}

const data = (): { x: Tensor; y: Tensor } => ({
  x: tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]),
  y: tf.tensor2d([1, 0, 0, 1, 1, 1], [3, 2]),
});

describe('Program', () => {
  it('replays what the eager step computes, with the learning rate as an input', () => {
    const run = (mode: 'eager' | 'replay'): number[][] => {
      const { weight, slot, step } = regression();
      const program = new Program({ mode }).define('train', step);
      const losses: number[] = [];
      for (let i = 0; i < 6; i++) {
        const out = program.run('train', { ...data(), learningRate: 0.01 * (i + 1) });
        losses.push(values(out['loss']!)[0]!);
      }
      const result = [losses, values(weight), values(slot)];
      program.dispose();
      return result;
    };
    const [eager, replay] = [run('eager'), run('replay')];
    assert.ok(eager[0]![5]! < 0.9 * eager[0]![0]!, 'the loss falls');
    eager.flat().forEach((value, i) => {
      assert.ok(Math.abs(value - replay.flat()[i]!) < 1e-6, `${value} ${replay.flat()[i]}`);
    });
  });

  it('leaves variables and the tensor count as they were when it records', () => {
    const { weight, step } = regression();
    const inputs = data();
    const [before, count] = [values(weight), tf.memory().numTensors];
    const program = new Program().define('train', step);
    program.prepare('train', { ...inputs, learningRate: 1 });
    assert.deepEqual(values(weight), before);
    assert.equal(tf.memory().numTensors, count);
    program.dispose();
  });

  it('shares variables between steps, also with a step that is recorded later', () => {
    const { weight, step, loss } = regression();
    const program = new Program().define('train', step).define('evaluate', loss);
    const inputs = data();
    const first = values(program.run('train', { ...inputs, learningRate: 0.01 })['loss']!)[0]!;
    const second = values(program.run('evaluate', inputs)['loss']!)[0]!;
    assert.ok(second < first, 'the evaluation sees the update');
    const third = values(program.run('train', { ...inputs, learningRate: 0 })['loss']!)[0]!;
    assert.ok(Math.abs(second - third) < 1e-6, 'training goes on from there');
    const read = values(loss(inputs)['loss']!)[0]!;
    assert.ok(Math.abs(read - second) < 1e-6, 'whoever reads the variable gets the value of the session');
    weight.assign(tf.zeros([2, 2]));
    const assigned = values(program.run('evaluate', inputs)['loss']!)[0]!;
    assert.ok(Math.abs(assigned - 4 / 6) < 1e-6, 'what is assigned outside counts');
    program.dispose();
  });

  it('keeps the value of a variable in one place, whoever reads, assigns or disposes of it', () => {
    const counter = tf.variable(tf.tensor1d([1, 2]));
    const other = tf.variable(tf.tensor1d([5]));
    const add: Step = ({ by }) => {
      counter.assign(tf.add(counter, by!) as tf.Tensor1D);
      return { now: tf.mul(counter, 1), other: tf.mul(other, 1) };
    };
    const [first, second] = [1, 2].map(() => new Program().define('add', add));
    const run = (program: Program, by: number): number[] => values(program.run('add', { by })['now']!);
    assert.deepEqual(run(first!, 1), [2, 3]);
    const held = counter.clone();
    assert.deepEqual(run(first!, 1), [3, 4]);
    assert.deepEqual(values(held), [2, 3], 'a clone keeps the value that it was made of');
    assert.deepEqual(run(second!, 10), [13, 14], 'another program goes on from the present value');
    assert.deepEqual(run(first!, 1), [14, 15], 'and so does the first again');
    const seen = counter.clone();
    counter.assign(tf.tensor1d([0, 0]));
    assert.deepEqual(values(seen), [14, 15]);
    assert.deepEqual(run(second!, 10), [10, 10]);
    first!.dispose();
    assert.deepEqual(values(counter), [10, 10], 'the end of a program that has an older value changes nothing');
    second!.dispose();
    assert.deepEqual(values(counter), [10, 10], 'the end of the program that has it gives it back');
    const last = new Program().define('add', add);
    run(last, 1);
    counter.dispose();
    other.dispose();
    last.dispose();
  });

  it('frees the memory of variables that a session changes', () => {
    const weight = tf.variable(tf.ones([1000, 1000]));
    const record = () => tensorflow().tensorMap.get(weight.dataId);
    const program = new Program().define('grow', () => {
      weight.assign(tf.mul(weight, 2));
      return {};
    });
    tf.dispose(program.run('grow', {}));
    assert.ok(Object.getOwnPropertyDescriptor(record(), 'id')!.get, 'it is lent to the session');
    assert.equal(values(weight)[7], 2);
    assert.equal(Object.getOwnPropertyDescriptor(record(), 'id')!.get, undefined, 'it was given back');
    tf.dispose(program.run('grow', {}));
    assert.ok(Object.getOwnPropertyDescriptor(record(), 'id')!.get, 'it is lent again');
    assert.equal(values(weight)[7], 4);
    program.dispose();
  });

  it('records without computing on the values of a step', () => {
    const seen: number[] = [];
    const { binding } = tensorflow();
    const spied = Object.create(binding, {
      executeOp: {
        value: (...call: Parameters<typeof binding.executeOp>) => {
          if (call[0] === 'MatMul' || call[0] === 'BatchMatMulV2') seen.push(...call[2]);
          return binding.executeOp(...call);
        },
      },
    });
    const x = tf.randomUniform([8, 8]);
    const ids = tensorflow().getInputTensorIds([x]);
    const program = new Program().define('step', ({ x }) => {
      let y = x as tf.Tensor2D;
      for (let i = 0; i < 5; i++) y = tf.matMul(y, x as tf.Tensor2D);
      return { y };
    });
    tensorflow().binding = spied;
    try {
      program.prepare('step', { x });
    } finally {
      tensorflow().binding = binding;
    }
    assert.equal(seen.length, 2, 'five equal products are run once');
    assert.ok(!seen.includes(ids[0]!), 'and not on the inputs');
    program.dispose();
  });

  it('records again for inputs of another shape', () => {
    const program = new Program().define('double', ({ x }) => ({ y: tf.mul(x!, 2) }));
    assert.deepEqual(values(program.run('double', { x: tf.tensor1d([1, 2]) })['y']!), [2, 4]);
    assert.deepEqual(values(program.run('double', { x: tf.tensor1d([3, 4, 5]) })['y']!), [6, 8, 10]);
    assert.deepEqual(values(program.run('double', { x: tf.tensor1d([6, 7]) })['y']!), [12, 14]);
    program.dispose();
  });

  it('reads a variable before and after it is assigned in the same step', () => {
    const counter = tf.variable(tf.tensor1d([10, 20]));
    const step: Step = () => {
      const old = tf.mul(counter, 1);
      counter.assign(tf.add(counter, 1) as tf.Tensor1D);
      return { old, now: tf.mul(counter, 1) };
    };
    const program = new Program().define('count', step);
    for (let i = 0; i < 3; i++) {
      const { old, now } = program.run('count', {});
      assert.deepEqual(
        [values(old!), values(now!)],
        [
          [10 + i, 20 + i],
          [11 + i, 21 + i],
        ],
      );
    }
    program.dispose();
  });

  it('tells variables apart that were given the same values', () => {
    const first = tf.variable(tf.tensor1d([1, 2]));
    const second = tf.variable(first.clone());
    const program = new Program().define('step', ({ x }) => {
      second.assign(tf.add(second, x!) as tf.Tensor1D);
      return { first: tf.mul(first, 1), second: tf.mul(second, 1) };
    });
    for (let i = 1; i <= 3; i++) {
      const out = program.run('step', { x: tf.tensor1d([10, 20]) });
      assert.deepEqual(
        [values(out['first']!), values(out['second']!)],
        [
          [1, 2],
          [1 + 10 * i, 2 + 20 * i],
        ],
      );
    }
    assert.deepEqual(
      [values(first), values(second)],
      [
        [1, 2],
        [31, 62],
      ],
    );
    program.dispose();
  });

  it('infers the types that tfjs-node leaves open', () => {
    const step: Step = ({ labels, x }) => ({ a: tf.expandDims(labels!, 1), b: tf.expandDims(tf.greater(x!, 2), 0) });
    const program = new Program().define('step', step);
    const { a, b } = program.run('step', { labels: tf.tensor1d([4, 5], 'int32'), x: tf.tensor1d([1, 3]) });
    assert.deepEqual([a!.dtype, a!.shape, values(a!)], ['int32', [2, 1], [4, 5]]);
    assert.deepEqual([b!.dtype, b!.shape, values(b!)], ['bool', [1, 2], [0, 1]]);
    program.dispose();
  });

  it('runs a step without outputs for what it assigns', () => {
    const counter = tf.variable(tf.scalar(1));
    const program = new Program().define('double', () => {
      counter.assign(tf.mul(counter, 2));
      return {};
    });
    for (let i = 0; i < 4; i++) tf.dispose(program.run('double', {}));
    assert.deepEqual(values(counter), [16]);
    program.dispose();
  });

  it('keeps constants of zeros and ones out of the graph', () => {
    const program = new Program().define('sum', ({ x }) => ({
      y: tf.add(tf.add(x!, tf.zeros([500, 500])), tf.ones([500, 500])),
    }));
    const y = program.run('sum', { x: tf.fill([500, 500], 3) })['y']!;
    assert.equal(values(y)[77], 4);
    assert.ok(program.size().bytes < 5000, `${program.size().bytes} bytes`);
    program.dispose();
  });

  it('computes matrix products in bfloat16 and everything else in float32', () => {
    const weight = tf.variable(tf.tensor2d([1 + 1 / 512, 0, 0, 1], [2, 2]));
    const step: Step = ({ x }) => ({
      product: tf.matMul(x as tf.Tensor2D, weight as tf.Tensor2D),
      sum: tf.add(x!, weight),
    });
    const x = tf.tensor2d([1, 0, 0, 1 + 1 / 512], [2, 2]);
    const program = new Program({ precision: 'bf16' }).define('step', step);
    const { product, sum } = program.run('step', { x });
    assert.deepEqual(values(product!), [1, 0, 0, 1], 'products lose the ninth bit');
    assert.deepEqual(values(sum!), [2 + 1 / 512, 0, 0, 2 + 1 / 512], 'sums keep it');
    program.dispose();
  });

  it('casts variables that no step changes once, and again when they are assigned', () => {
    const [fixed, trained] = [1, 2].map((value) => tf.variable(tf.fill<tf.Rank.R2>([2, 2], value + 1 / 512)));
    const step: Step = ({ x }) => {
      trained!.assign(tf.add(trained!, x!) as tf.Tensor2D);
      return { y: tf.matMul(tf.matMul(x as tf.Tensor2D, fixed!), trained!), sum: tf.add(fixed!, 0) };
    };
    const x = tf.tensor2d([1, 0, 0, 0], [2, 2]);
    const program = new Program({ precision: 'bf16' }).define('step', step);
    const first = program.run('step', { x });
    assert.deepEqual(values(first['y']!), [5, 4, 0, 0]);
    assert.equal(values(first['sum']!)[0], 1 + 1 / 512, 'whoever reads it in float32 gets all of it');
    fixed!.assign(tf.fill([2, 2], 3));
    assert.deepEqual(values(program.run('step', { x })['y']!), [18, 12, 0, 0]);
    program.dispose();
  });

  it('records a step that changes what was fixed before', () => {
    const weight = tf.variable(tf.tensor2d([1, 0, 0, 1], [2, 2]));
    const product: Step = ({ x }) => ({ y: tf.matMul(x as tf.Tensor2D, weight) });
    const program = new Program({ precision: 'bf16' }).define('look', product).define('change', (inputs) => {
      const { y } = product(inputs);
      weight.assign(tf.mul(weight, 2));
      return { y: y! };
    });
    const x = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const run = (step: string): number[] => values(program.run(step, { x })['y']!);
    assert.deepEqual(run('look'), [1, 2, 3, 4]);
    assert.deepEqual(run('change'), [1, 2, 3, 4]);
    assert.deepEqual(run('look'), [2, 4, 6, 8]);
    program.dispose();
  });

  it('draws numbers that follow from seed and step, the same eagerly and replayed', () => {
    const step: Step = ({ key }) => ({ u: new RandomKey(key!).uniform([1000], 'test') });
    const draw = (mode: 'eager' | 'replay', seed: number, at: number): number[] => {
      const program = new Program({ mode }).define('draw', step);
      const result = values(program.run('draw', { key: tf.tensor1d([seed, at], 'int32') })['u']!);
      program.dispose();
      return result;
    };
    const first = draw('replay', 7, 3);
    assert.deepEqual(draw('eager', 7, 3), first);
    assert.notDeepEqual(draw('replay', 8, 3), first);
    assert.notDeepEqual(draw('replay', 7, 4), first);
  });
});

describe('what cannot be captured', () => {
  const outside = tf.tensor1d([1, 2, 3]);
  const refused = (step: Step, inputs = {}): Error => {
    const program = new Program().define('step', step);
    let error: unknown;
    try {
      program.run('step', inputs);
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error instanceof CaptureError, `a CaptureError, not ${error}`);
    assert.equal(values(tf.add(tf.scalar(1), 1))[0], 2, 'the engine works on');
    return error;
  };

  it('names the reading of data', () => {
    assert.match(
      refused(({ x }) => ({ y: tf.scalar(x!.dataSync()[0]!) }), { x: tf.tensor1d([1, 2]) }).message,
      /reads a tensor's data/,
    );
    assert.match(
      refused(({ x }) => ({ y: tf.scalar(tf.sum(x!).dataSync()[0]!) }), { x: tf.tensor1d([1]) }).message,
      /reads/,
    );
  });

  it('names a tensor from outside, whether it is on the device yet or not', () => {
    assert.match(refused(() => ({ y: tf.mul(outside, 2) })).message, /\[3\].*made outside/);
    tf.mul(outside, 1).dispose(); // on the device now
    assert.match(
      refused(() => ({ y: tf.mul(outside, 2) })).message,
      /tensor of 3 values from outside as an input of Mul/,
    );
    assert.match(refused(() => ({ y: outside })).message, /output 'y'/);
  });

  it('takes scalars from outside and tensors made inside as constants', () => {
    const [scale, step] = [
      tf.scalar(3),
      ({ x }: Record<string, Tensor>) => ({ y: tf.mul(tf.mul(x!, tf.tensor1d([1, 2])), scale) }),
    ];
    const program = new Program().define('step', step);
    assert.deepEqual(values(program.run('step', { x: tf.tensor1d([1, 1]) })['y']!), [3, 6]);
    program.dispose();
  });

  it('names random numbers that would repeat', () => {
    assert.match(refused(() => ({ y: tf.randomNormal([3]) })).message, /Math\.random/);
    assert.match(refused(({ x }) => ({ y: tf.dropout(x!, 0.5) }), { x: tf.ones([4]) }).message, /Math\.random/);
    assert.match(
      refused(() => ({ y: tf.multinomial(tf.tensor1d([0.5, 0.5]), 3, 1) as Tensor })).message,
      /Multinomial/,
    );
  });

  it('names an op whose shape depends on values', () => {
    const step: Step = ({ x }) => ({ y: tf.unique(x as tf.Tensor1D).values });
    assert.match(refused(step, { x: tf.tensor1d([1, 1, 2]) }).message, /Unique.*shape depends on values/);
  });

  it('names a variable that is made inside', () => {
    assert.match(refused(() => ({ y: tf.variable(tf.zeros([2])) })).message, /makes the variable .*\[2\]/);
  });

  it('records a step that failed before, and keeps nothing of the failure', () => {
    const w = tf.variable(tf.tensor1d([2]));
    let fails = true;
    const program = new Program().define('step', ({ x }) => {
      const y = tf.mul(tf.add(w, tf.tensor1d([40])), x!);
      w.assign(tf.add(w, 1));
      if (fails) throw new RangeError('not yet');
      return { y };
    });
    assert.throws(() => program.run('step', { x: tf.tensor1d([1]) }), /not yet/);
    assert.deepEqual([program.operations(), program.size().variables], [[], 0]);
    fails = false;
    assert.deepEqual(values(program.run('step', { x: tf.tensor1d([1]) })['y']!), [42]);
    assert.deepEqual(values(w), [3]);
    fails = true;
    const before = program.operations();
    assert.throws(() => program.run('step', { x: tf.tensor1d([1, 2]) }), /not yet/);
    assert.deepEqual(program.operations(), before);
    assert.deepEqual(values(program.run('step', { x: tf.tensor1d([1]) })['y']!), [43]);
    program.dispose();
    w.dispose();
  });

  it('keeps the sign of zeros, and no number, among equal constants', () => {
    const program = new Program().define('step', ({ x }) => ({
      y: tf.div(x!, tf.tensor1d([0, -0])),
      z: tf.mul(x!, tf.tensor1d([Number.NaN, 1])),
    }));
    const { y, z } = program.run('step', { x: tf.tensor1d([1, 1]) });
    assert.deepEqual(values(y!), [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    assert.deepEqual(values(z!), [Number.NaN, 1]);
    program.dispose();
  });

  it('leaves products of whole numbers as they are', () => {
    const [a, b] = [tf.fill([2, 3], 2, 'int32'), tf.fill([3, 3072], 3, 'int32')] as [tf.Tensor2D, tf.Tensor2D];
    const program = new Program().define('step', ({ a, b }) => ({ y: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D) }));
    const { y } = program.run('step', { a, b });
    assert.equal(y!.dtype, 'int32');
    assert.ok(y!.dataSync().every((value) => value === 18));
    program.dispose();
  });

  it('refuses unknown steps, names given twice, and modes that do not go together', () => {
    const program = new Program().define('train', () => ({}));
    assert.throws(
      () => program.run('trian', {}),
      (e: Error) => e instanceof UsageError && /Did you mean train/.test(e.message),
    );
    assert.throws(() => program.define('train', () => ({})), UsageError);
    assert.throws(() => new Program({ mode: 'eager', precision: 'bf16' }), UsageError);
  });
});
