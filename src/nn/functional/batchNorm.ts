// Batch normalisation, Ioffe & Szegedy 2015 (arXiv:1502.03167), per channel, channels last.
import { type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

const leadingAxes = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, axis) => axis);

/** Mean and biased variance of each channel of `[…, C]`, each `[C]`. */
export function batchStatistics(x: Tensor): { mean: Tensor; variance: Tensor } {
  const mean = tf.mean(x, leadingAxes(x));
  return { mean, variance: tf.mean(tf.square(tf.sub(x, mean)), leadingAxes(x)) };
}

interface Attributes {
  epsilon: number;
}

const scaleOf = (variance: Tensor, epsilon: number): Tensor => tf.rsqrt(tf.add(variance, epsilon));

const op = defineOp<'x', Attributes>({
  name: 'BatchStandardise',
  forward: ({ x }, { epsilon }) => {
    const { mean, variance } = batchStatistics(x);
    return tf.mul(tf.sub(x, mean), scaleOf(variance, epsilon));
  },
  saves: ['x'],
  savesOutput: true,
  gradient: (dy, { x, output }, { epsilon }) => ({
    x: () => {
      const axes = leadingAxes(x);
      const projection = tf.mul(output, tf.mean(tf.mul(dy, output), axes));
      return tf.mul(scaleOf(batchStatistics(x).variance, epsilon), tf.sub(tf.sub(dy, tf.mean(dy, axes)), projection));
    },
  }),
});

/** (x - mean) / √(variance + ε) with the statistics of this very batch; x `[…, C]`, reduced over all axes but the last. */
export const batchStandardise = (x: Tensor, epsilon: number): Tensor => op({ x }, { epsilon });

/** ((x - mean) / √(variance + ε)) · weight + bias with given statistics `[C]`; x `[…, C]`. */
export function batchNormFixed(
  x: Tensor,
  { mean, variance, weight, bias }: { mean: Tensor; variance: Tensor; weight?: Tensor; bias?: Tensor },
  epsilon: number,
): Tensor {
  const inverse = scaleOf(variance, epsilon);
  const scale = weight ? tf.mul(inverse, weight) : inverse;
  const shift = tf.mul(mean, scale);
  return tf.add(tf.mul(x, scale), bias ? tf.sub(bias, shift) : tf.neg(shift));
}
