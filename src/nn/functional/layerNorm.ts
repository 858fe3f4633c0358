// Layer normalisation, Ba et al. 2016 (arXiv:1607.06450), over the last axis, with the biased variance.
import { executeOwn, executeOwnOutput, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { defineOp } from './op.js';

interface Attributes {
  epsilon: number;
}

/** (x - mean) and 1 / √(variance + ε) over the last axis. */
function normalise(x: Tensor, epsilon: number): { centred: Tensor; scale: Tensor } {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  return { centred, scale: tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon)) };
}

function normalised(x: Tensor, epsilon: number): Tensor {
  const { centred, scale } = normalise(x, epsilon);
  return tf.mul(centred, scale);
}

const leadingAxes = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, axis) => axis);

const composed = defineOp<'x' | 'weight' | 'bias', Attributes>({
  name: 'LayerNorm',
  forward: ({ x, weight, bias }, { epsilon }) => tf.add(tf.mul(normalised(x, epsilon), weight), bias),
  saves: ['x', 'weight'],
  gradient: (dy, { x, weight }, { epsilon }) => ({
    x: () => {
      const { centred, scale } = normalise(x, epsilon);
      const xHat = tf.mul(centred, scale);
      const g = tf.mul(dy, weight);
      const projection = tf.mul(xHat, tf.mean(tf.mul(g, xHat), -1, true));
      return tf.mul(scale, tf.sub(tf.sub(g, tf.mean(g, -1, true)), projection));
    },
    weight: () => tf.sum(tf.mul(dy, normalised(x, epsilon)), leadingAxes(x)),
    bias: () => tf.sum(dy, leadingAxes(dy)),
  }),
});

const own = defineOp<'x' | 'weight' | 'bias', Attributes>({
  name: 'OwnLayerNorm',
  outputs: 3,
  forward: ({ x, weight, bias }, { epsilon }) =>
    executeOwn('VitlabLayerNorm', [x, weight, bias], 3, { epsilon: { float: epsilon } }),
  saves: ['x', 'weight'],
  savesOutput: true,
  gradient: (dy, { x, weight, outputs: [, mean, scale] }) => {
    const weights = (output: number): Tensor =>
      executeOwnOutput(output, 'VitlabLayerNormGradWeights', [dy, x, mean!, scale!], 2);
    return {
      x: () => executeOwn('VitlabLayerNormGradInput', [dy, x, weight, mean!, scale!])[0]!,
      // two equal ops, of which a recording makes one
      weight: () => weights(0),
      bias: () => weights(1),
    };
  },
});

/** ((x - mean) / √(variance + ε)) · weight + bias over the last axis; x `[…, D]`, weight and bias `[D]`. */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor =>
  (hasOwnOp('VitlabLayerNorm') ? own : composed)({ x, weight, bias }, { epsilon });
