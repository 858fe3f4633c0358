// Biases in the ops that follow them: what a graph becomes, and that it computes the same.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { biasesInside } from '../../src/engine/capture/biases.js';
import { Recorder } from '../../src/engine/capture/recorder.js';
import { Program, type Step, startEngine, type Tensor, tf, valueAndGradients } from '../../src/engine/index.js';
import { gelu, init, layerNorm, linear, Parameter } from '../../src/nn/index.js';
import { createOptimizer } from '../../src/train/index.js';

const [DIM, HIDDEN] = [19, 37];
const random = (shape: number[], seed: number): Tensor => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** A step that trains two pre-norm MLP blocks with residuals. */
function blocks(): { step: Step; parameters: Map<string, Parameter> } {
  const parameters = new Map<string, Parameter>();
  const shapes = {
    weight: [DIM],
    bias: [DIM],
    up: [HIDDEN, DIM],
    upBias: [HIDDEN],
    down: [DIM, HIDDEN],
    downBias: [DIM],
  };
  for (const block of [0, 1]) {
    for (const [name, shape] of Object.entries(shapes)) {
      const parameter = new Parameter(shape, init.zeros);
      parameter.set(tf.mul(random(shape, parameters.size + 1), 0.3));
      parameters.set(`${block}.${name}`, parameter);
    }
  }
  const optimizer = createOptimizer({ name: 'momentum', momentum: 0.9 }, parameters);
  const step: Step = ({ x, rate }) => {
    const forward = (): Tensor => {
      let y = x!;
      for (const block of [0, 1]) {
        const of = (name: string): Tensor => parameters.get(`${block}.${name}`)!.value;
        const hidden = gelu(linear(layerNorm(y, of('weight'), of('bias'), 1e-6), of('up'), of('upBias')));
        y = tf.add(y, linear(hidden, of('down'), of('downBias')));
      }
      return tf.mean(tf.square(y));
    };
    const names = [...parameters.keys()];
    const { value, gradients } = valueAndGradients(
      forward,
      names.map((name) => parameters.get(name)!.value),
    );
    const named = new Map(names.map((name, i) => [name, gradients[i]!]));
    optimizer.apply(named, { learningRate: rate!, step: tf.scalar(1) });
    return { value };
  };
  return { step, parameters };
}

before(() => startEngine('tensorflow'));

describe('biasesInside', () => {
  const recorded = () => {
    const recorder = new Recorder();
    const { step } = blocks();
    recorder.record('s', step, { x: random([2, 5, DIM], 50), rate: tf.scalar(0.1) });
    return recorder.nodes;
  };
  const count = (nodes: readonly { op: string }[], op: string): number => nodes.filter((node) => node.op === op).length;

  it('puts biases into the GELU, its gradient or the residual sum that follows', () => {
    const nodes = recorded();
    const half = biasesInside(nodes);
    assert.equal(count(nodes, 'BiasAdd'), 4);
    assert.equal(count(half, 'BiasAdd'), 0);
    assert.equal(count(half, 'VitlabBiasAdd'), 2, 'those with a residual');
    for (const { op, attributes } of half) {
      if (/^VitlabGelu/.test(op)) assert.equal(attributes['biases']?.value, 1);
      if (op === 'VitlabBiasAdd') assert.equal(attributes['residuals']?.value, 1);
    }
    assert.equal(count(nodes, 'Add') - count(half, 'Add'), 2);
  });

  it('names nothing that is not there, and no node twice', () => {
    const nodes = biasesInside(recorded());
    const names = new Set(nodes.map(({ name }) => name));
    assert.equal(names.size, nodes.length);
    for (const { name, inputs } of nodes) {
      for (const input of inputs) assert.ok(names.has(input.replace(/^\^|:\d+$/g, '')), `${name} reads ${input}`);
    }
  });

  it('leaves a bias that others read as well', () => {
    const recorder = new Recorder();
    const [x, weight, bias] = [random([5, DIM], 1), random([HIDDEN, DIM], 2), random([HIDDEN], 3)];
    const step: Step = ({ x, weight, bias }) => {
      const y = linear(x!, weight!, bias!);
      return { y, z: gelu(y), sum: tf.add(y, tf.exp(y)) };
    };
    recorder.record('s', step, { x, weight, bias });
    const half = biasesInside(recorder.nodes);
    const own = half.find(({ op }) => op === 'VitlabBiasAdd')!;
    assert.equal(own.attributes['residuals'], undefined);
    assert.equal(half.find(({ op }) => op === 'VitlabGelu')!.attributes['biases'], undefined);
    const program = new Program({ precision: 'bf16' }).define('s', step);
    const made = program.run('s', { x, weight, bias });
    assert.deepEqual(made['z']!.shape, [5, HIDDEN]);
    const expected = tf.add(tf.matMul(x as tf.Tensor2D, weight as tf.Tensor2D, false, true), bias);
    assert.ok(tf.norm(tf.sub(made['y']!, expected)).dataSync()[0]! < 0.01 * tf.norm(expected).dataSync()[0]!);
    program.dispose();
  });
});

describe('a program with biases inside', () => {
  const trained = (options: { mode: 'eager' } | { precision: 'fp32' | 'bf16' }): Tensor[] => {
    const { step, parameters } = blocks();
    const program = new Program(options).define('s', step);
    for (let i = 0; i < 3; i++) tf.dispose(program.run('s', { x: random([2, 5, DIM], 60 + i), rate: 0.05 }));
    const values = [...parameters.values()].map(({ value }) => value.clone());
    program.dispose();
    return values;
  };
  const off = (a: Tensor, b: Tensor): number => tf.norm(tf.sub(a, b)).dataSync()[0]! / tf.norm(b).dataSync()[0]!;

  it('trains as the eager steps do, and in bfloat16 about so', () => {
    const expected = trained({ mode: 'eager' });
    trained({ precision: 'fp32' }).forEach((value, i) => {
      assert.ok(off(value, expected[i]!) < 1e-6, `${i}: ${off(value, expected[i]!)}`);
    });
    trained({ precision: 'bf16' }).forEach((value, i) => {
      const difference = off(value, expected[i]!);
      assert.ok(difference > 0 && difference < 5e-3, `${i}: ${difference}`);
    });
  });
});
