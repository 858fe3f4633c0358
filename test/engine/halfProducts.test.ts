// Matrix products in bfloat16 by an op of our own: what a graph becomes, and what its products are. Where the processor
// does not multiply bfloat16, graphs stay as they are, and the same results must come from TensorFlow's ops.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { biasesInside } from '../../src/engine/capture/biases.js';
import type { GraphNode } from '../../src/engine/capture/graph.js';
import { ownHalfProducts } from '../../src/engine/capture/halfProducts.js';
import { Recorder } from '../../src/engine/capture/recorder.js';
import {
  executeOwn,
  Program,
  type Step,
  startEngine,
  type Tensor,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { hasHalfProducts } from '../../src/engine/nativeOps.js';
import { addBias, gelu, init, linear, Parameter } from '../../src/nn/index.js';
import { createOptimizer } from '../../src/train/index.js';
import { PRODUCT_CASES } from '../support/halfProducts.js';

before(() => startEngine('tensorflow'));

const random = (shape: number[]): Tensor => tf.randomNormal(shape, 0, 1, 'float32', 7);

function recorded(step: Parameters<Recorder['record']>[1], inputs: Record<string, Tensor>): GraphNode[] {
  const recorder = new Recorder();
  recorder.record('s', step, inputs);
  return recorder.nodes;
}
function assertOrdered(nodes: readonly GraphNode[]): void {
  const seen = new Set<string>();
  for (const { name, inputs } of nodes) {
    assert.ok(!seen.has(name));
    for (const input of inputs) assert.ok(seen.has(input.replace(/^\^|:\d+$/g, '')), `${name} reads ${input}`);
    seen.add(name);
  }
}
const of = (nodes: readonly GraphNode[], op: string): GraphNode[] => nodes.filter((node) => node.op === op);

describe('ownHalfProducts', () => {
  const inputs = { x: random([4, 8, 24]), w: random([40, 24]), bias: random([40]), rest: random([4, 8, 40]) };

  it('takes the bias and the residual into the product', () => {
    const nodes = recorded(({ x, w, bias, rest }) => ({ y: tf.add(rest!, linear(x!, w!, bias!)) }), inputs);
    const tiled = ownHalfProducts(nodes);
    const kinds = [of(tiled, 'VitlabProduct').length, of(tiled, 'BiasAdd').length, of(tiled, 'Add').length];
    assert.deepEqual(kinds, hasHalfProducts() ? [1, 0, 0] : [0, 1, 1]);
    const [product] = of(tiled, 'VitlabProduct');
    if (!product) return;
    assert.deepEqual([product.attributes['biases']?.value, product.attributes['residuals']?.value], [1, 1]);
    assert.equal(product.inputs.length, 4);
  });

  it('leaves a bias or a sum that others read as well, and a sum that is not of equal shapes', () => {
    const nodes = recorded(({ x, w, bias, rest }) => {
      const product = tf.matMul(tf.reshape(x!, [32, 24]), w as tf.Tensor2D, false, true);
      const biased = addBias(product, bias!);
      const y = tf.reshape(biased, [4, 8, 40]);
      return { biased, y: tf.add(rest!, y), again: tf.exp(y), wide: tf.add(linear(tf.exp(x!), w!), bias!) };
    }, inputs);
    const tiled = ownHalfProducts(nodes);
    assert.equal(of(tiled, 'Add').length, 2);
    const products = of(tiled, 'VitlabProduct');
    assert.equal(products.length, hasHalfProducts() ? 2 : 0);
    for (const { attributes } of products) assert.equal(attributes['residuals'], undefined);
  });

  it('leaves products that have few rows or columns', () => {
    const nodes = recorded(({ x, w }) => ({ y: tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D) }), {
      ...{ x: random([8, 64]), w: random([64, 64]) },
    });
    assert.equal(of(ownHalfProducts(nodes), 'VitlabProduct').length, 0);
  });

  it('names nothing that is not there, no node twice, and what is read before its readers', () => {
    const nodes = recorded(({ x, w, bias, rest }) => ({ y: tf.add(rest!, linear(x!, w!, bias!)) }), inputs);
    assertOrdered(ownHalfProducts(nodes));
  });

  it('computes before an update in place what it waits for, though what follows reads the new values', () => {
    /** y(old weights) + y(new weights), and the gradient by x of gelu(y(-x, old weights)) · y(new weights). */
    const stepOfNew = (): Step => {
      const [weight, bias] = [new Parameter([40, 24], init.zeros), new Parameter([40], init.zeros)];
      weight.set(tf.fill([40, 24], 0.5));
      bias.set(tf.fill([40], 0.5));
      const parameters = new Map(Object.entries({ weight, bias }));
      const optimizer = createOptimizer({ name: 'momentum' }, parameters);
      const update = (): void => {
        const gradients = new Map([...parameters].map(([name, { value }]) => [name, tf.onesLike(value)]));
        optimizer.apply(gradients, { learningRate: tf.scalar(0.1), step: tf.scalar(1) });
      };
      return ({ x }) => {
        const before = linear(x!, weight.value, bias.value);
        update();
        const sum = tf.add(before, linear(x!, weight.value, bias.value));
        const between = valueAndGradients(() => {
          const hidden = linear(tf.neg(x!), weight.value, bias.value);
          update();
          return tf.sum(tf.mul(gelu(hidden), linear(x!, weight.value, bias.value)));
        }, [x!]);
        return { sum, gradient: between.gradients[0]! };
      };
    };
    const nodes = recorded(stepOfNew(), { x: inputs.x });
    assertOrdered(ownHalfProducts(nodes));
    assertOrdered(biasesInside(nodes));
    const [half, whole] = [{ precision: 'bf16' } as const, { mode: 'eager' } as const].map((options) => {
      const program = new Program(options).define('s', stepOfNew());
      const outputs = program.run('s', { x: inputs.x });
      program.dispose();
      return outputs;
    }) as [Record<string, Tensor>, Record<string, Tensor>];
    for (const [name, expected] of Object.entries(whole)) {
      const difference = tf.norm(tf.sub(half[name]!, expected)).dataSync()[0]!;
      assert.ok(difference < 0.01 * tf.norm(expected).dataSync()[0]!, `${name}: ${difference}`);
    }
  });
});

describe('products in bfloat16', () => {
  it('are those of rounded factors with any instructions, and have the same bits with any number of threads', () => {
    const script = path.join(__dirname, '..', 'support', 'halfProducts.ts');
    const run = (extra: Record<string, string>): { float: string; half: string; digest: string; errors: number[] } => {
      const env = { ...process.env, ...extra };
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], {
        encoding: 'utf8',
        env,
      });
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout);
    };
    const { half } = run({});
    for (const VITLAB_BF16 of ['amx', 'avx512bf16', 'none']) {
      const [one, three] = ['1', '3'].map((threads) => run({ VITLAB_BF16, TF_NUM_INTRAOP_THREADS: threads }));
      assert.deepEqual(one, three);
      assert.equal(one!.errors.length, PRODUCT_CASES.length);
      for (const [i, error] of one!.errors.entries()) {
        assert.ok(error < 1, `${VITLAB_BF16}, ${JSON.stringify(PRODUCT_CASES[i])}: ${error} of what is allowed`);
      }
      // instructions that the processor does not have are not used
      assert.ok([VITLAB_BF16, one!.float].includes(one!.half));
      if (VITLAB_BF16 === half) assert.equal(one!.half, half);
    }
  });

  it('are refused with instructions that nobody knows', () => {
    const script = path.join(__dirname, '..', 'support', 'halfProducts.ts');
    const env = { ...process.env, VITLAB_BF16: 'avx512' };
    const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8', env });
    assert.equal(status, 1);
    assert.match(stderr, /UsageError: VITLAB_BF16 is 'avx512', but must be one of amx, avx512bf16, none\./);
  });

  it('have the same bits with a weight that no step changes, which is packed when it is set', () => {
    const weight = tf.variable(random([70, 45]));
    const both = (x: Tensor, w: Tensor): Record<string, Tensor> => {
      const y = linear(x, w);
      return { y, z: tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D), again: linear(tf.exp(x), w) };
    };
    const kept = new Program({ precision: 'bf16' }).define('s', ({ x }) => both(x!, weight));
    const given = new Program({ precision: 'bf16' }).define('s', ({ x, w }) => both(x!, w!));
    for (const scale of [1, 2]) {
      weight.assign(tf.mul(weight, scale));
      const x = random([33, 45]);
      const [one, other] = [kept.run('s', { x }), given.run('s', { x, w: weight.clone() })];
      for (const key of ['y', 'z', 'again']) assert.deepEqual(one[key]!.dataSync(), other[key]!.dataSync(), key);
    }
    kept.dispose();
    given.dispose();
  });

  it('refuse factors that do not fit each other', () => {
    if (!hasHalfProducts()) return;
    const attributes = { transpose_a: { bool: false }, transpose_b: { bool: false } };
    const product = (b: Tensor): Tensor => executeOwn('VitlabProduct', [random([16, 8]), b], 1, attributes)[0]!;
    assert.deepEqual(product(random([8, 5])).shape, [16, 5]);
    assert.throws(() => product(random([9, 5])), /factors do not fit each other/);
    assert.throws(() => product(random([8, 5, 1])), /must be matrices/);
    const columns = { columns: { int: 5 } };
    const asPacked = (): unknown =>
      executeOwn('VitlabProduct', [random([16, 8]), random([40])], 1, { ...attributes, ...columns });
    assert.throws(asPacked, /factors do not fit each other/);
  });
});
