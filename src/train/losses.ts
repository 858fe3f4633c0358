// Losses. Cross entropy with class weights, smoothed labels and soft targets, as PyTorch defines it.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import { defineOp } from '../nn/index.js';

const logSoftmax = (logits: Tensor): Tensor => tf.logSoftmax(logits);

/** -Σ target · log softmax(logits) over the last axis. `normalized`: the targets of each row sum to 1. */
const rowEntropy = defineOp<'logits' | 'target', { normalized: boolean }>({
  name: 'RowCrossEntropy',
  forward: ({ logits, target }) => tf.neg(tf.sum(tf.mul(target, logSoftmax(logits)), -1)),
  saves: ['logits', 'target'],
  gradient: (dy, { logits, target }, { normalized }) => ({
    logits: () => {
      const softmax = tf.softmax(logits);
      const mass = normalized ? softmax : tf.mul(softmax, tf.sum(target, -1, true));
      return tf.mul(tf.sub(mass, target), tf.expandDims(dy, -1));
    },
    target: () => tf.mul(tf.neg(logSoftmax(logits)), tf.expandDims(dy, -1)),
  }),
});

export interface CrossEntropyOptions {
  /** Weight of each class, `[C]`. */
  classWeights?: Tensor;
  /** Share of the target that is spread evenly over all classes. */
  labelSmoothing?: number;
  /** `none` gives one loss an example, `[B]`. Default: `mean`. */
  reduction?: 'mean' | 'sum' | 'none';
  /**
   * What the mean divides by where there are class weights: the weights of the labels (PyTorch's rule, the default), or
   * the number of examples (VPT's).
   */
  meanOver?: 'weights' | 'examples';
}

/**
 * Cross entropy of logits `[B, C]`, in nats. Targets are int32 labels `[B]`, or float32 probabilities `[B, C]`, for
 * which a mean is over examples.
 * @throws ShapeError where the shapes do not fit; UsageError for a label smoothing outside [0, 1)
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { classWeights, labelSmoothing = 0, reduction = 'mean', meanOver = 'weights' } = options;
  const hard = targets.rank === 1;
  checkShapes(logits, targets, classWeights);
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new UsageError(`labelSmoothing must be in [0, 1), got ${labelSmoothing}.`);
  }
  const smooth = hard ? oneHot(targets, logits.shape[1]!, labelSmoothing) : soften(targets, labelSmoothing);
  const target = classWeights ? tf.mul(smooth, classWeights) : smooth;
  const losses = rowEntropy({ logits, target }, { normalized: hard && !classWeights });
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return tf.sum(losses);
  if (!hard || !classWeights || meanOver === 'examples') return tf.mean(losses);
  // tf.gather reads its indices, which a recorded step cannot
  return tf.div(tf.sum(losses), tf.sum(tf.mul(oneHot(targets, logits.shape[1]!), classWeights)));
}

/** Labels `[B]` as float32 rows `[B, classes]`, with a share `smoothing` spread evenly. */
export function oneHot(labels: Tensor, classes: number, smoothing = 0): Tensor {
  // tf.oneHot gives integers on some engines, whatever it is asked for
  const rows = tf.cast(tf.equal(tf.range(0, classes, 1, 'int32'), tf.expandDims(labels, 1)), 'float32');
  return soften(rows, smoothing);
}

function soften(targets: Tensor, smoothing: number): Tensor {
  return smoothing === 0 ? targets : tf.add(tf.mul(targets, 1 - smoothing), smoothing / targets.shape[1]!);
}

function checkShapes(logits: Tensor, targets: Tensor, classWeights?: Tensor): void {
  const [batch, classes] = logits.shape;
  const fits =
    logits.rank === 2 &&
    (targets.rank === 1
      ? targets.shape[0] === batch && targets.dtype === 'int32'
      : targets.rank === 2 && targets.shape[0] === batch && targets.shape[1] === classes);
  if (!fits) {
    throw new ShapeError(
      `Cross entropy needs logits [B, C] and int32 labels [B] or float32 targets [B, C], got [${logits.shape}] and ` +
        `${targets.dtype} [${targets.shape}].`,
    );
  }
  if (classWeights && (classWeights.rank !== 1 || classWeights.shape[0] !== classes)) {
    throw new ShapeError(`Class weights must be [${classes}], got [${classWeights.shape}].`);
  }
}
