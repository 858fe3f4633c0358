// vitlab's own kernels in WGSL against the same of ordinary ops on the cpu engine: values, gradients and updates. On
// whatever device there is; a software driver will do.
import assert from 'node:assert/strict';
import { afterEach, before, describe, it } from 'node:test';
import {
  executeOwn,
  hasOwnOp,
  startEngine,
  type Tensor,
  tf,
  updateInPlace,
  valueAndGradients,
  withPortableOps,
} from '../../src/engine/index.js';
import { hasSubgroups } from '../../src/engine/wgsl/subgroups.js';
import { addBias, attention, gelu, init, layerNorm, linear, matrixProduct, Parameter } from '../../src/nn/index.js';
import { Rng } from '../../src/random/index.js';
import { createOptimizer, type OptimizerConfig, trainStep } from '../../src/train/index.js';
import { quadrants, toyViT } from '../support/toy.js';

/** Numbers with their shape, to make tensors of on either engine. */
interface Numbers {
  shape: number[];
  values: Float32Array;
}

function normal(shape: number[], seed: number, { mean = 0, deviation = 1 } = {}): Numbers {
  const rng = new Rng(seed, 'wgsl', 0);
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, values: Float32Array.from({ length: size }, () => mean + deviation * rng.normal()) };
}

const tensorOf = ({ values, shape }: Numbers): Tensor => tf.tensor(values, shape);

async function on<T>(engine: 'cpu' | 'webgpu', compute: () => Promise<T>): Promise<T> {
  await tf.setBackend(engine);
  try {
    return await compute();
  } finally {
    await tf.setBackend('webgpu');
  }
}

const valuesOf = (tensors: readonly Tensor[]): Promise<Numbers[]> =>
  Promise.all(tensors.map(async (tensor) => ({ shape: tensor.shape, values: (await tensor.data()) as Float32Array })));

function assertClose(own: readonly Numbers[], expected: readonly Numbers[], tolerance: number): void {
  assert.equal(own.length, expected.length);
  own.forEach(({ shape, values }, i) => {
    assert.deepEqual(shape, expected[i]!.shape);
    const wanted = expected[i]!.values;
    const scale = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
    values.forEach((x, at) => {
      assert.ok(Math.abs(x - wanted[at]!) <= tolerance * scale, `${i}[${at}]: ${x}, cpu ${wanted[at]}`);
    });
  });
}

/** A value and its gradients against a fixed direction, with the kernels and on the cpu engine, which must be close. */
async function agree(inputs: Numbers[], f: (...inputs: Tensor[]) => Tensor, tolerance = 2e-5): Promise<void> {
  const compute = (): Promise<Numbers[]> => {
    const tensors = inputs.map(tensorOf);
    const y = tf.tidy(() => f(...tensors));
    const direction = tensorOf(normal(y.shape, 99));
    const { gradients } = valueAndGradients(() => tf.sum(tf.mul(f(...tensors), direction)), tensors);
    return valuesOf([y, ...gradients]);
  };
  assertClose(await on('webgpu', compute), await on('cpu', compute), tolerance);
}

before(() => startEngine('webgpu'));
afterEach(() => delete process.env['VITLAB_SUBGROUPS']);

describe('own kernels in WGSL', () => {
  it('are there on the engine, and can be left out', () => {
    const layers = [
      'VitlabGelu',
      'VitlabLayerNorm',
      'VitlabAttention',
      'VitlabLinear',
      'VitlabMatMul',
      'VitlabColumnSum',
    ];
    for (const op of [...layers, 'VitlabAdam', 'VitlabMomentum']) {
      assert.ok(hasOwnOp(op), op);
      assert.ok(!withPortableOps(() => hasOwnOp(op)));
    }
    assert.ok(!hasOwnOp('VitlabTranspose'));
  });

  it('give GELU and its gradient, also far out and for odd sizes', async () => {
    await agree([normal([7, 37], 1, { deviation: 3 })], gelu, 1e-6);
    await agree([normal([1], 1)], gelu, 1e-6);
    await agree([{ shape: [7], values: Float32Array.of(-40, -5.9, -1e-30, 0, 1e-30, 5.9, 40) }], gelu, 1e-6);
    const [{ values }] = (await valuesOf([gelu(tf.tensor1d([Number.NaN, 1]))])) as [Numbers];
    assert.ok(Number.isNaN(values[0]) && Math.abs(values[1]! - 0.8413447) < 1e-6, `${values}`);
  });

  it('give layer norm and its gradients, for rows of any width and number, with subgroups and without', async () => {
    for (const subgroups of hasSubgroups() ? ['1', '0'] : ['0']) {
      process.env['VITLAB_SUBGROUPS'] = subgroups;
      for (const shape of [
        [3, 11, 3],
        [1, 1, 1],
        [9, 20],
        [5, 40],
        [2, 101, 192],
        [1, 5, 771],
        [131, 64],
      ]) {
        const dim = shape.at(-1)!;
        const inputs = [normal(shape, 2, { mean: 4 }), normal([dim], 3), normal([dim], 4)];
        await agree(inputs, (x, w, b) => layerNorm(x!, w!, b!, 1e-5));
        await agree([...inputs, normal([dim], 5)], (x, w, b, skip) => layerNorm(x!, w!, b!, 1e-5, skip));
      }
    }
  });

  it('give layer norm of rows with a large mean', async () => {
    const inputs = [normal([5, 100], 2, { mean: 3000 }), normal([100], 3), normal([100], 4)];
    await agree(inputs, (x, w, b) => layerNorm(x!, w!, b!, 1e-6), 1e-3);
  });

  it('compute more rows and numbers than one axis of workgroups takes', async () => {
    const rows = 65_600 * 64; // 64 rows a workgroup
    const x = { shape: [rows, 2], values: Float32Array.from({ length: rows * 2 }, (_, i) => (i * 7919) % 1013) };
    const normalised = tf.tidy(() => layerNorm(tensorOf(x), tf.ones([2]), tf.zeros([2]), 0));
    const [{ values }] = (await valuesOf([normalised])) as [Numbers];
    for (const row of [0, 65_534 * 64, 65_535 * 64, 65_536 * 64 + 1, rows - 1]) {
      const [first, second] = x.values.subarray(2 * row, 2 * row + 2) as unknown as [number, number];
      assert.ok(Math.abs(values[2 * row]! - Math.sign(first - second)) < 1e-5, `row ${row}: ${values[2 * row]}`);
    }
    const count = 65_535 * 256 + 1000;
    const [far] = await valuesOf([tf.tidy(() => tf.slice(gelu(tf.fill([count], 1)), [count - 3], [3]))]);
    for (const value of far!.values) assert.ok(Math.abs(value - 0.8413447) < 1e-6, `${value}`);
  });

  it('give attention with and without bias and mask', async () => {
    for (const [batch, tokens, numHeads, size] of [
      [1, 70, 2, 64],
      [34, 9, 2, 32],
      [3, 5, 1, 6],
      [1, 1, 2, 3],
      [1, 33, 1, 98],
    ] as const) {
      const settings = { numHeads, scale: size ** -0.5 };
      const qkv = normal([batch, tokens, 3 * numHeads * size], 5);
      const bias = normal([numHeads, tokens, tokens], 6);
      const mask = normal([batch / (batch % 2 === 0 ? 2 : 1), tokens, tokens], 7);
      mask.values = mask.values.map((x) => -100 * Math.round(Math.abs(x)));
      await agree([qkv], (x) => attention(x!, settings), 5e-5);
      await agree([qkv, bias], (x, b) => attention(x!, { ...settings, bias: b!, mask: tensorOf(mask) }), 5e-5);
      if (size !== 32) continue;
      await agree([qkv, bias], (x, b) => attention(x!, { ...settings, bias: b! }), 5e-5);
      await agree([qkv], (x) => attention(x!, { ...settings, mask: tensorOf(mask) }), 5e-5);
    }
  });

  it('give attention of scores that no exponential could hold', async () => {
    const qkv = normal([2, 33, 3 * 2 * 8], 5, { deviation: 12 });
    await agree([qkv], (x) => attention(x!, { numHeads: 2, scale: 1 }), 2e-3);
  });

  it('give linear layers and the gradients of their biases', async () => {
    for (const rows of [1, 19, 300]) {
      const inputs = [normal([rows, 7, 5], 13), normal([67, 5], 14), normal([67], 15)];
      await agree(inputs, (x, w, b) => linear(x!, w!, b!));
    }
    await agree([normal([3, 2, 2, 130], 16), normal([130], 17)], (x, b) => addBias(x!, b!));
  });

  it('give products of matrices and their transposes, of all sizes, also where workgroups share the depth', async () => {
    for (const [rows, depth, columns] of [
      [64, 16, 64],
      [100, 37, 72],
      [129, 5, 33],
      [70, 1000, 65],
      [300, 64, 8],
      [40, 0, 40],
    ] as const) {
      for (const [transposeA, transposeB] of [
        [false, false],
        [false, true],
        [true, false],
        [true, true],
      ] as const) {
        const a = normal(transposeA ? [depth, rows] : [rows, depth], 1);
        const b = normal(transposeB ? [columns, depth] : [depth, columns], 2);
        const compute = () => valuesOf([matrixProduct(tensorOf(a), tensorOf(b), transposeA, transposeB)]);
        assertClose(await on('webgpu', compute), await on('cpu', compute), 2e-5);
      }
    }
    assert.throws(
      () => matrixProduct(tf.zeros([40, 3]), tf.zeros([4, 40])),
      /second factor of a product must be \[3,40\], got \[4,40\]/,
    );
  });

  it('update parameters as ordinary ops do', async () => {
    const configs: OptimizerConfig[] = [
      { name: 'adamw', weightDecay: 0.1 },
      { name: 'adamw', weightDecay: 0 },
      { name: 'adam', weightDecay: 0.1 },
      { name: 'momentum', momentum: 0.9, useNesterov: true, weightDecay: 0.1 },
      { name: 'sgd', momentum: 0.9, dampening: 0.5 },
    ];
    for (const config of configs) {
      const trained = async (): Promise<Numbers[]> => {
        const parameter = new Parameter([37, 9], init.zeros);
        parameter.set(tensorOf(normal([37, 9], 9)));
        const optimizer = createOptimizer(config, new Map([['w', parameter]]));
        for (let step = 1; step <= 3; step++) {
          const gradients = new Map([['w', tensorOf(normal([37, 9], 10 + step))]]);
          optimizer.apply(gradients, { learningRate: tf.scalar(0.1), step: tf.scalar(step) });
        }
        return valuesOf([parameter.value, ...optimizer.slots.values()]);
      };
      assertClose(await on('webgpu', trained), await on('cpu', trained), 1e-6);
    }
  });

  it('leave an old value to those who hold it, and no tensor behind', async () => {
    const parameter = new Parameter([5], init.ones);
    parameter.set(tf.fill([5], 2));
    const optimizer = createOptimizer({ name: 'momentum' }, new Map([['w', parameter]]));
    const step = (): void =>
      tf.tidy(() =>
        optimizer.apply(new Map([['w', tf.ones([5])]]), { learningRate: tf.scalar(0.5), step: tf.scalar(1) }),
      );
    step();
    const held = parameter.value.clone();
    const read = await parameter.value.data();
    const { numTensors, numBytes } = tf.memory();
    step();
    assert.equal(tf.memory().numTensors, numTensors);
    assert.equal(tf.memory().numBytes, numBytes);
    assert.deepEqual([...read], Array(5).fill(1.5));
    assert.deepEqual([...(await held.data())], Array(5).fill(1.5));
    assert.ok(Math.abs((await parameter.value.data())[4]! - 0.55) < 1e-6);
  });

  it('train as the cpu engine does', async () => {
    const trained = async (): Promise<Numbers[]> => {
      const model = toyViT({ projDropRate: 0, depth: 2 });
      const optimizer = createOptimizer({ name: 'adamw', epsilon: 1e-3 }, model.trainableParameters());
      const step = trainStep(model, optimizer);
      const losses: Numbers[] = [];
      for await (const { images, shape, labels } of quadrants({ batches: 4 }).epoch(0)) {
        const number = losses.length + 1;
        const outputs = step({
          ...{ images: tf.tensor(images, [...shape]), labels: tf.tensor1d(labels, 'int32') },
          ...{ key: tf.tensor1d([0, number], 'int32'), learningRate: tf.scalar(0.01), step: tf.scalar(number) },
        }) as Record<string, Tensor>;
        losses.push(...(await valuesOf([outputs['loss']!])));
      }
      return [...losses, ...(await valuesOf(Object.values(model.stateDict())))];
    };
    assertClose(await on('webgpu', trained), await on('cpu', trained), 1e-4);
  });

  it('refuse what does not fit', () => {
    const none = tf.zeros([0]);
    const attributes = { heads: { int: 2 }, scale: { float: 1 } };
    const attend = (qkv: Tensor, bias = none, mask = none) =>
      executeOwn('VitlabAttention', [qkv, bias, mask], 2, attributes);
    assert.throws(() => attend(tf.zeros([1, 4, 13])), /qkv must be/);
    assert.throws(() => attend(tf.zeros([1, 4, 12]), tf.zeros([2, 3, 3])), /bias .* must be \[2,4,4\], got \[2,3,3\]/);
    assert.throws(() => attend(tf.zeros([3, 4, 12]), none, tf.zeros([2, 4, 4])), /3 sequences/);
    const norm = (weight: Tensor) =>
      executeOwn('VitlabLayerNorm', [tf.zeros([2, 3]), weight, tf.zeros([3])], 3, { epsilon: { float: 1 } });
    assert.throws(() => norm(tf.zeros([4])), /weight of a layer norm must be \[3\], got \[4\]/);
    assert.throws(() => norm(tf.zeros([3], 'int32')), /float32 tensors, got int32/);
    const product = (bias: Tensor) => executeOwn('VitlabLinear', [tf.zeros([2, 3]), tf.zeros([4, 3]), bias]);
    assert.throws(() => product(tf.zeros([3])), /bias of a linear layer must be \[4\], got \[3\]/);
    assert.throws(
      () => executeOwn('VitlabLinear', [tf.zeros([2, 3, 1]), tf.zeros([4, 3]), tf.zeros([4])]),
      /input of a linear layer must be \[2,3\], got \[2,3,1\]/,
    );
    assert.throws(
      () => matrixProduct(tf.zeros([40, 40, 2]), tf.zeros([40, 40])),
      /first factor of a product must be \[40,40\], got \[40,40,2\]/,
    );
    const variable = tf.variable(tf.zeros([3]));
    const update = { op: 'VitlabMomentum', variables: [variable, variable], attributes: {} };
    assert.throws(() => updateInPlace({ ...update, inputs: [tf.zeros([4])] }), /gradient of \[3\], got \[4\]/);
    withPortableOps(() => assert.throws(() => executeOwn('VitlabGelu', [none]), /webgpu has no op VitlabGelu/));
  });
});
