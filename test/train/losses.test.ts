import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { Program, startEngine, type Tensor, tf, valueAndGradients } from '../../src/engine/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { type CrossEntropyOptions, crossEntropy, oneHot } from '../../src/train/index.js';
import { assertClose, randomTensor, values } from './helpers.js';

before(() => startEngine('tensorflow'));

const labels = (): Tensor => tf.tensor1d([0, 4, 2, 2], 'int32');
const logits = (): Tensor => randomTensor(1, [4, 5]);
const soft = (): Tensor => tf.softmax(randomTensor(2, [4, 5]));
const classWeights = (): Tensor => tf.tensor1d([0.5, 2, 1, 0.1, 3]);

/** Central differences of `f` at `x`, over a step that float32 bears. */
function differences(f: (x: Tensor) => Tensor, x: Tensor): number[] {
  const start = values(x);
  const h = 1e-2;
  const at = (i: number, by: number): number =>
    tf.tidy(
      () =>
        values(
          f(
            tf.tensor(
              start.map((value, j) => (j === i ? value + by : value)),
              x.shape,
            ),
          ),
        )[0]!,
    );
  return start.map((_, i) => (at(i, h) - at(i, -h)) / (2 * h));
}

describe('crossEntropy', () => {
  const variants: [string, () => { targets: Tensor; options: CrossEntropyOptions }][] = [
    ['labels', () => ({ targets: labels(), options: {} })],
    ['sum', () => ({ targets: labels(), options: { reduction: 'sum' } })],
    ['smoothed labels', () => ({ targets: labels(), options: { labelSmoothing: 0.3 } })],
    ['class weights', () => ({ targets: labels(), options: { classWeights: classWeights() } })],
    [
      'weights over examples',
      () => ({ targets: labels(), options: { classWeights: classWeights(), meanOver: 'examples' } }),
    ],
    ['soft targets', () => ({ targets: soft(), options: {} })],
    [
      'soft, smoothed, weighted',
      () => ({ targets: soft(), options: { labelSmoothing: 0.2, classWeights: classWeights() } }),
    ],
  ];

  for (const [name, make] of variants) {
    it(`${name}: the gradient is what differences say`, () => {
      const { targets, options } = make();
      const loss = (x: Tensor): Tensor => crossEntropy(x, targets, options);
      const x = logits();
      const { gradients } = valueAndGradients(() => loss(x), [x]);
      assertClose(values(gradients[0]!), differences(loss, x), 2e-3);
    });
  }

  it('has a gradient for soft targets', () => {
    const targets = soft();
    const x = logits();
    const { gradients } = valueAndGradients(() => crossEntropy(x, targets), [targets]);
    assertClose(
      values(gradients[0]!),
      differences((t) => crossEntropy(x, t), targets),
      2e-3,
    );
  });

  it('gives one loss an example, whose mean is the mean', () => {
    const each = values(crossEntropy(logits(), labels(), { reduction: 'none' }));
    assert.equal(each.length, 4);
    const [mean] = values(crossEntropy(logits(), labels()));
    assert.ok(Math.abs(each.reduce((a, b) => a + b, 0) / 4 - mean!) < 1e-6);
  });

  it('is the same for labels and for their one-hot rows', () => {
    const hard = values(crossEntropy(logits(), labels(), { labelSmoothing: 0.1 }));
    assertClose(values(crossEntropy(logits(), oneHot(labels(), 5), { labelSmoothing: 0.1 })), hard, 1e-6);
  });

  it('is log C for logits without an opinion and finite for extreme ones', () => {
    assertClose(values(crossEntropy(tf.zeros([4, 5]), labels())), [Math.log(5)], 1e-6);
    const extreme = tf.mul(logits(), 1e6);
    const { value, gradients } = valueAndGradients(() => crossEntropy(extreme, labels()), [extreme]);
    assert.ok([...values(value), ...values(gradients[0]!)].every(Number.isFinite));
  });

  it('is the same in a replayed graph', () => {
    const program = new Program().define('loss', ({ x, y }) => {
      const { value, gradients } = valueAndGradients(() => crossEntropy(x!, y!, { labelSmoothing: 0.1 }), [x!]);
      return { value, gradient: gradients[0]! };
    });
    const replayed = program.run('loss', { x: logits(), y: labels() });
    const x = logits();
    const eager = valueAndGradients(() => crossEntropy(x, labels(), { labelSmoothing: 0.1 }), [x]);
    assertClose(values(replayed['value']!), values(eager.value), 1e-6);
    assertClose(values(replayed['gradient']!), values(eager.gradients[0]!), 1e-6);
    program.dispose();
  });

  it('refuses what does not fit', () => {
    assert.throws(() => crossEntropy(logits(), tf.tensor1d([1, 2], 'int32')), ShapeError);
    assert.throws(() => crossEntropy(logits(), tf.tensor1d([0, 1, 2, 3])), /int32/);
    assert.throws(() => crossEntropy(logits(), tf.zeros([4, 6])), ShapeError);
    assert.throws(() => crossEntropy(tf.zeros([2, 2, 5]), labels()), ShapeError);
    assert.throws(() => crossEntropy(logits(), labels(), { classWeights: tf.zeros([4]) }), ShapeError);
    assert.throws(() => crossEntropy(logits(), labels(), { labelSmoothing: 1 }), UsageError);
  });
});
