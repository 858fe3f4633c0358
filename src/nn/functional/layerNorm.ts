// Layer normalisation, Ba et al. 2016 (arXiv:1607.06450), over the last axis, with the biased variance.
import { executeOwn, executeOwnOutput, hasOwnOp, type OwnAttributes, type Tensor, tf } from '../../engine/index.js';
import { defineOp, type OpInputs } from './op.js';

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

type Saved = OpInputs<'x' | 'weight'> & { outputs: readonly Tensor[] };

/** Gradients of the own op, with or without what is skipped by. */
function ownGradients(dy: Tensor, { x, weight, outputs: [, mean, scale] }: Saved, skip?: Tensor) {
  const weights = (output: number): Tensor =>
    executeOwnOutput(output, 'VitlabLayerNormGradWeights', [dy, x, mean!, scale!], 3, counted(skip));
  return {
    x: () =>
      executeOwn('VitlabLayerNormGradInput', [dy, x, weight, mean!, scale!, ...given(skip)], 1, counted(skip))[0]!,
    // equal ops, of which a recording makes one
    weight: () => weights(0),
    bias: () => weights(1),
    skip: () => weights(2),
  };
}

const given = (skip?: Tensor): Tensor[] => (skip ? [skip] : []);
const counted = (skip?: Tensor): OwnAttributes => ({ skips: { int: given(skip).length } });

const own = defineOp<'x' | 'weight' | 'bias', Attributes>({
  name: 'OwnLayerNorm',
  outputs: 3,
  forward: ({ x, weight, bias }, { epsilon }) =>
    executeOwn('VitlabLayerNorm', [x, weight, bias], 3, { epsilon: { float: epsilon }, ...counted() }),
  saves: ['x', 'weight'],
  savesOutput: true,
  gradient: (dy, saved) => ownGradients(dy, saved),
});

const ownWithSkip = defineOp<'x' | 'weight' | 'bias' | 'skip', Attributes>({
  name: 'OwnLayerNormWithSkip',
  outputs: 3,
  forward: ({ x, weight, bias, skip }, { epsilon }) =>
    executeOwn('VitlabLayerNorm', [x, weight, bias, skip], 3, { epsilon: { float: epsilon }, ...counted(skip) }),
  saves: ['x', 'weight', 'skip'],
  savesOutput: true,
  gradient: (dy, saved) => ownGradients(dy, saved, saved.skip),
});

/**
 * ((x - mean) / √(variance + ε)) · weight + bias over the last axis, plus x · skip where that is given; x `[…, D]`,
 * weight, bias and skip `[D]`.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number, skip?: Tensor): Tensor {
  const isOwn = hasOwnOp('VitlabLayerNorm');
  if (!skip) return (isOwn ? own : composed)({ x, weight, bias }, { epsilon });
  if (isOwn) return ownWithSkip({ x, weight, bias, skip }, { epsilon });
  return tf.add(composed({ x, weight, bias }, { epsilon }), tf.mul(x, skip));
}
