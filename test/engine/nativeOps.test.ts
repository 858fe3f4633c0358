// vitlab's own TensorFlow ops against the same of ordinary ops: values, gradients and updates; and that an export has none.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  executeOwn,
  hasOwnOp,
  nativeInstructions,
  Program,
  RandomKey,
  startEngine,
  type Tensor,
  tf,
  valueAndGradients,
  withPortableOps,
} from '../../src/engine/index.js';
import { mergeShifted, shiftedWindows } from '../../src/models/swinWindows.js';
import {
  attention,
  conv2d,
  Dropout,
  ForwardContext,
  gelu,
  init,
  layerNorm,
  linear,
  Parameter,
} from '../../src/nn/index.js';
import { createOptimizer, type OptimizerConfig } from '../../src/train/index.js';
import { ATTENTION_CASES, attentionErrors } from '../support/halfAttention.js';
import { processorHas } from '../support/processor.js';

const random = (shape: number[], seed: number): Tensor => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** A value and its gradients against a fixed direction, own and composed, which must be close. */
function agree(inputs: Tensor[], f: (...inputs: Tensor[]) => Tensor, tolerance = 2e-5): void {
  const run = (): Tensor[] => {
    const y = tf.tidy(() => f(...inputs));
    const direction = random(y.shape, 99);
    const { value, gradients } = valueAndGradients(() => tf.sum(tf.mul(f(...inputs), direction)), inputs);
    return [y, value, ...gradients];
  };
  assert.ok(hasOwnOp('VitlabGelu'));
  const own = run();
  const composed = withPortableOps(() => {
    assert.ok(!hasOwnOp('VitlabGelu'));
    return run();
  });
  own.forEach((tensor, i) => {
    assert.deepEqual(tensor.shape, composed[i]!.shape);
    const expected = composed[i]!.dataSync();
    const scale = Math.max(1, ...expected.map(Math.abs));
    tensor.dataSync().forEach((x, at) => {
      assert.ok(Math.abs(x - expected[at]!) < tolerance * scale, `${i}[${at}]: ${x}, composed ${expected[at]}`);
    });
  });
}

const contextOf = (seed: number[]) => new ForwardContext(new RandomKey(tf.tensor1d(seed, 'int32')));

before(() => startEngine('tensorflow'));

describe('own TensorFlow ops', () => {
  it('give GELU and its gradient, also far out and for odd sizes', () => {
    agree([tf.mul(random([7, 37], 1), 3)], gelu);
    agree([tf.tensor1d([-40, -5.9, -1e-30, 0, 1e-30, 5.9, 40])], gelu);
    assert.ok(Number.isNaN(gelu(tf.tensor1d([Number.NaN])).dataSync()[0]));
  });

  it('give layer norm and its gradients, for widths that are whole vectors and others', () => {
    for (const dim of [3, 5, 64, 100]) {
      agree([tf.add(random([3, 11, dim], 2), 4), random([dim], 3), random([dim], 4)], (x, w, b) =>
        layerNorm(x!, w!, b!, 1e-5),
      );
      agree([tf.add(random([3, 11, dim], 2), 4), ...[3, 4, 5].map((seed) => random([dim], seed))], (x, w, b, skip) =>
        layerNorm(x!, w!, b!, 1e-5, skip),
      );
    }
  });

  it('drop the very entries that the ordinary ops drop, and the same in the gradient', () => {
    for (const [shape, p] of [
      [[3, 7], 0.1],
      [[5, 16384 + 13], 0.5],
      [[2, 300, 64], 0.9],
    ] as const) {
      const x = random([...shape], 1);
      const layer = new Dropout(p).train();
      for (const seed of [
        [-7, 3],
        [2 ** 31 - 1, 0],
      ]) {
        const run = () => valueAndGradients(() => tf.sum(tf.square(layer.forward(x, contextOf(seed)))), [x]);
        const own = run().gradients[0]!.dataSync();
        assert.deepEqual(own, withPortableOps(run).gradients[0]!.dataSync());
        const dropped = own.filter((value) => value === 0).length / own.length;
        assert.ok(own.length < 100 || Math.abs(dropped - p) < 0.02, `${dropped} of ${p}`);
      }
    }
    const lost = new Dropout(0.5).train().forward(tf.fill([64], Number.NaN), contextOf([1, 2]));
    assert.ok(lost.dataSync().every(Number.isNaN), 'what is no number stays none, as in a product with zero');
  });

  it('give attention with and without bias and mask', () => {
    for (const [batch, tokens, numHeads, size] of [
      [2, 101, 3, 64],
      [4, 49, 2, 32],
      [3, 5, 1, 6],
    ] as const) {
      const settings = { numHeads, scale: size ** -0.5 };
      const qkv = random([batch, tokens, 3 * numHeads * size], 5);
      const bias = random([numHeads, tokens, tokens], 6);
      const mask = tf.mul(tf.round(tf.abs(random([batch, tokens, tokens], 7))), -100);
      agree([qkv], (x) => attention(x!, settings), 1e-4);
      agree([qkv, bias], (x, b) => attention(x!, { ...settings, bias: b! }), 1e-4);
      agree([qkv, bias], (x, b) => attention(x!, { ...settings, bias: b!, mask }), 1e-4);
    }
  });

  it('give attention in float32 exactly, and in bfloat16 to its precision with any instructions and number of threads', () => {
    for (const shape of ATTENTION_CASES) {
      for (const [key, { norm, largest }] of Object.entries(attentionErrors(shape, 'fp32'))) {
        assert.ok(norm < 3e-6 && largest < 12e-6, `${JSON.stringify(shape)} ${key}: ${norm}, ${largest}`);
      }
    }
    const script = path.join(__dirname, '..', 'support', 'halfAttention.ts');
    for (const VITLAB_BF16 of ['amx', 'avx512bf16', 'none']) {
      const [one, two] = ['1', '2'].map((threads) => {
        const env = { ...process.env, TF_NUM_INTRAOP_THREADS: threads, VITLAB_BF16 };
        const run = spawnSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8', env });
        assert.equal(run.status, 0, run.stderr);
        return run.stdout;
      });
      assert.equal(one, two);
      const { errors } = JSON.parse(one!) as { errors: ReturnType<typeof attentionErrors>[] };
      assert.equal(errors.length, ATTENTION_CASES.length);
      for (const [i, results] of errors.entries()) {
        const shape = ATTENTION_CASES[i]!;
        assert.deepEqual(Object.keys(results), shape.added ? ['out', 'dqkv', 'dbias'] : ['out', 'dqkv']);
        for (const [key, { norm, largest }] of Object.entries(results)) {
          const what = `${VITLAB_BF16}, ${JSON.stringify(shape)}, ${key}: ${norm}, ${largest}`;
          // of one token the weight is 1, and nothing is rounded
          assert.ok(norm >= (shape.tokens > 1 ? 3e-4 : 0) && norm < 6e-3 && largest < 24e-3, what);
        }
      }
    }
  });

  it('use the best instructions for products in bfloat16 that processor and compiler have', () => {
    const { made } = JSON.parse(fs.readFileSync('.vitlab/setup/ops.json', 'utf8')) as { made: { half: boolean } };
    const { float, half } = nativeInstructions()!;
    const has = (...flags: string[]): boolean => made.half && float === 'avx512' && processorHas(...flags);
    const pairs = has('avx512_bf16') ? 'avx512bf16' : float;
    assert.equal(half, has('avx512_bf16', 'amx_tile', 'amx_bf16') ? 'amx' : pairs);
  });

  it('give depthwise convolutions and their gradients', () => {
    for (const [shape, side] of [
      [[2, 5, 9, 3], 3],
      [[3, 2, 3, 16], 5],
      [[17, 8, 8, 16], 7],
      [[1, 14, 17, 37], 7],
    ] as const) {
      const channels = shape[3];
      const padding = [(side - 1) / 2, (side - 1) / 2] as const;
      const geometry = { stride: [1, 1], padding, groups: channels } as const;
      const [weight, bias] = [random([channels, 1, side, side], 11), random([channels], 12)];
      agree([random([...shape], 10), weight, bias], (x, w, b) => conv2d(x!, w!, geometry, b!));
    }
  });

  it('give the gradient of a bias', () => {
    agree([random([3, 7, 5], 13), random([19, 5], 14), random([19], 15)], (x, w, b) => linear(x!, w!, b!));
  });

  it('cut shifted windows and put them back', () => {
    const map = random([2, 6, 8, 5], 8);
    const windows = shiftedWindows(map, [3, 4], [1, 2]);
    assert.deepEqual(mergeShifted(windows, [3, 4], [6, 8], [1, 2]).dataSync(), map.dataSync());
    agree([map], (x) => shiftedWindows(x!, [3, 4], [1, 2]), 1e-7);
    agree([windows], (x) => mergeShifted(x!, [3, 4], [6, 8], [1, 2]), 1e-7);
  });

  it('update parameters in place as ordinary ops do, to the bit', () => {
    const configs: OptimizerConfig[] = [
      { name: 'adamw', weightDecay: 0.1 },
      { name: 'adam', weightDecay: 0.1 },
      { name: 'momentum', momentum: 0.9, useNesterov: true, weightDecay: 0.1 },
      { name: 'sgd', momentum: 0.9, dampening: 0.5 },
    ];
    const trained = (config: OptimizerConfig, mode: 'replay' | 'eager') => {
      const parameter = new Parameter([37], init.zeros);
      parameter.set(random([37], 9));
      const optimizer = createOptimizer(config, new Map([['w', parameter]]));
      const program = new Program({ mode }).define('step', ({ g, learningRate, step }) => {
        optimizer.apply(new Map([['w', g!]]), { learningRate: learningRate!, step: step! });
        return { value: parameter.value.clone() };
      });
      for (let step = 1; step <= 3; step++) {
        const { value } = program.run('step', { g: random([37], 10 + step), learningRate: 0.1, step });
        assert.deepEqual(value!.dataSync(), parameter.value.dataSync(), 'a step sees what it updated');
      }
      const ops = program.operations();
      program.dispose();
      return { values: parameter.value.dataSync(), ops };
    };
    for (const config of configs) {
      const replayed = trained(config, 'replay');
      assert.ok(replayed.ops.some((op) => /^Vitlab(Adam|Momentum)$/.test(op)));
      assert.deepEqual(replayed.values, trained(config, 'eager').values, config.name);
    }
  });

  it('keep the transpose of a weight that no step changes, until it is given another value', () => {
    const weight = tf.variable(random([6, 3072], 17)) as tf.Variable<tf.Rank.R2>;
    const input = random([4, 6], 16) as tf.Tensor2D;
    const program = new Program().define('step', ({ x }) => ({ y: tf.matMul(x as tf.Tensor2D, weight) }));
    const check = (): void => {
      const { y } = program.run('step', { x: input });
      assert.ok(tf.max(tf.abs(tf.sub(y!, tf.matMul(input, weight)))).dataSync()[0]! < 1e-5);
    };
    check();
    weight.assign(random([6, 3072], 18) as tf.Tensor2D);
    check();
    // a step that changes it is recorded later: what was fixed is not any more
    program.define('change', () => {
      weight.assign(tf.mul(weight, 2));
      return {};
    });
    program.run('change', {});
    check();
    program.run('change', {});
    check();
    program.dispose();
    weight.dispose();
  });

  it('turn products that the kernel is slow at, in replays', () => {
    const [a, b, c] = [random([4, 6], 16), random([6, 3072], 17), random([4, 3072], 18)] as tf.Tensor2D[];
    const results = (mode: 'replay' | 'eager') => {
      const program = new Program({ mode }).define('products', ({ a, b, c }) => ({
        plain: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D),
        transposed: tf.matMul(a as tf.Tensor2D, c as tf.Tensor2D, true),
      }));
      const made = program.run('products', { a: a!, b: b!, c: c! });
      program.dispose();
      return made;
    };
    const [replayed, eager] = [results('replay'), results('eager')];
    for (const key of ['plain', 'transposed']) {
      assert.deepEqual(replayed[key]!.shape, eager[key]!.shape);
      assert.ok(tf.max(tf.abs(tf.sub(replayed[key]!, eager[key]!))).dataSync()[0]! < 1e-5);
    }
  });

  it('keep what products read in bfloat16 between them, and nothing else', () => {
    const layer = new Dropout(0.25).train();
    const dropout = (x: Tensor): Tensor => layer.forward(x, contextOf([1, 2]));
    const [x, weight, bias] = [random([3, 5, 16], 19), random([8, 16], 20), random([8], 21)];
    const [ones, zeros] = [tf.ones([16]), tf.zeros([16])];
    const results = (precision: 'fp32' | 'bf16') => {
      const program = new Program({ precision }).define('layers', ({ x, weight, bias, ones, zeros }) => {
        const direction = tf.ones([3, 5, 16]);
        const layers = (x: Tensor): Tensor =>
          linear(
            dropout(gelu(linear(layerNorm(x, ones!, zeros!, 1e-6, ones!), weight!, bias!))),
            tf.transpose(weight!),
          );
        const { value, gradients } = valueAndGradients(
          () => tf.sum(tf.mul(layers(x!), direction)),
          [x!, weight!, bias!],
        );
        return { value, ...Object.fromEntries(gradients.map((gradient, i) => [`gradient${i}`, gradient])) };
      });
      const made = program.run('layers', { x, weight, bias, ones, zeros });
      program.dispose();
      return made;
    };
    const [half, full] = [results('bf16'), results('fp32')];
    for (const [key, tensor] of Object.entries(full)) {
      assert.equal(half[key]!.dtype, 'float32');
      const difference = tf.norm(tf.sub(half[key]!, tensor)).dataSync()[0]! / tf.norm(tensor).dataSync()[0]!;
      assert.ok(difference > 0 && difference < 0.02, `${key}: ${difference}`);
    }
  });

  it('leave in float32 what no product rounds: residuals, and what is dropped from', () => {
    const layer = new Dropout(0.25).train();
    const results = (precision: 'fp32' | 'bf16') => {
      const program = new Program({ precision }).define('step', ({ x, h, w }) => {
        const sum = tf.add(x!, tf.matMul(h as tf.Tensor2D, w as tf.Tensor2D));
        return { sum: gelu(sum), dropped: gelu(layer.forward(x!, contextOf([1, 2]))) };
      });
      const made = program.run('step', { x: random([32, 48], 1), h: tf.zeros([32, 16]), w: random([16, 48], 2) });
      program.dispose();
      return made;
    };
    const [half, full] = [results('bf16'), results('fp32')];
    for (const [key, tensor] of Object.entries(full)) assert.deepEqual(half[key]!.dataSync(), tensor.dataSync(), key);
  });

  it('take nothing for an answer to nothing', () => {
    const settings = { numHeads: 2, scale: 1, bias: tf.zeros([2, 4, 4]) };
    const { gradients } = valueAndGradients(() => tf.sum(attention(tf.zeros([0, 4, 12]), settings)), [settings.bias]);
    assert.deepEqual(
      [...gradients[0]!.dataSync()],
      Array.from({ length: 32 }, () => 0),
    );
    assert.throws(() => attention(tf.zeros([2, 0, 12]), { numHeads: 2, scale: 1, mask: tf.zeros([1, 4, 4]) }), /mask/);
  });

  it('refuse shapes that do not fit', () => {
    const none = tf.zeros([0]);
    const attributes = { heads: { int: 2 }, scale: { float: 1 } };
    assert.throws(() => executeOwn('VitlabAttention', [tf.zeros([1, 4, 13]), none, none], 2, attributes), /qkv/);
    const bias = tf.zeros([2, 3, 3]);
    assert.throws(() => executeOwn('VitlabAttention', [tf.zeros([1, 4, 12]), bias, none], 2, attributes), /bias/);
    const floats = { Tx: { type: 'float' }, Ty: { type: 'float' }, residuals: { int: 0 } } as const;
    const depthwise = (x: Tensor, weight: Tensor) =>
      executeOwn('VitlabDepthwise', [x, weight], 1, { flipped: { bool: false } });
    assert.throws(() => depthwise(tf.zeros([2, 3, 3]), tf.zeros([3, 1, 3, 3])), /maps/);
    assert.throws(() => depthwise(tf.zeros([2, 3, 3, 4]), tf.zeros([3, 1, 3, 3])), /weight/);
    assert.throws(() => depthwise(tf.zeros([2, 3, 3, 4]), tf.zeros([4, 1, 9, 9])), /side/);
    const biasAdd = () => executeOwn('VitlabBiasAdd', [tf.zeros([2, 3]), tf.zeros([2])], 1, floats);
    assert.throws(biasAdd, /bias must have 3 numbers, got 2/);
    const [x, w, mean] = [tf.zeros([4, 8]), tf.zeros([8]), tf.zeros([4])];
    const skips = { skips: { int: 0 } };
    const forward = (skip: Tensor) =>
      executeOwn('VitlabLayerNorm', [x, w, w, skip], 3, { epsilon: { float: 1e-5 }, skips: { int: 1 } });
    assert.throws(() => forward(tf.zeros([4])), /skip must have 8 numbers, got 4/);
    const gradInput = (dy: Tensor, mean: Tensor) =>
      executeOwn('VitlabLayerNormGradInput', [dy, x, w, mean, mean], 1, skips);
    assert.throws(() => gradInput(tf.zeros([1, 8]), mean), /differ in shape/);
    assert.throws(() => gradInput(x, tf.zeros([1])), /each row/);
    const gradWeights = (dy: Tensor) => executeOwn('VitlabLayerNormGradWeights', [dy, x, mean, mean], 3, skips);
    assert.throws(() => gradWeights(tf.zeros([1, 8])), /differ in shape/);
    const qkv = tf.zeros([1, 4, 12]);
    const gradient = (dout: Tensor) =>
      executeOwn(
        'VitlabAttentionGrad',
        [dout, qkv, none, none, tf.zeros([1, 4, 4]), tf.zeros([1, 2, 4])],
        2,
        attributes,
      );
    assert.throws(() => gradient(tf.zeros([1, 1, 4])), /gradient, result and sums/);
    const dropout = { p: { float: 0.5 }, scale: { float: 2 } };
    assert.throws(() => executeOwn('VitlabDropout', [x, tf.zeros([3], 'int32')], 1, dropout), /two words/);
    assert.throws(() => shiftedWindows(tf.zeros([1, 5, 5, 2]), [2, 2], [0, 0]), /windows must tile/);
  });
});
