// The two steps of a run, as functions of tensors: an update, and the sums that an evaluation adds up. They are recorded
// as graphs, so nothing here reads a tensor's data.
import { RandomKey, type Step, tf, valueAndGradients } from '../engine/index.js';
import { UsageError } from '../errors.js';
import { ForwardContext, type Module } from '../nn/index.js';
import { clipByGlobalNorm } from './clip.js';
import { crossEntropy } from './losses.js';
import { correctTopK, predictions } from './metrics.js';
import type { Optimizer } from './optimizers/optimizer.js';

export interface TrainStepOptions {
  /** Largest norm of all gradients together. */
  clipNorm?: number;
  /** Share of the target that is spread over all classes. */
  labelSmoothing?: number;
  /** Weight of each class in the loss: one number above 0 a class. */
  classWeights?: readonly number[];
  /** What the mean of a weighted loss divides by, see `crossEntropy`. Default: `weights`. */
  meanOver?: 'weights' | 'examples';
}

/**
 * One update. Inputs: images `[B, H, W, C]`, labels `[B]` int32, learningRate and step (1 for the first) scalars, key
 * `[seed, step]` int32. Outputs: loss (mean, nats), correct (how many of the batch are top-1).
 * @throws UsageError for class weights that are no weights
 */
export function trainStep(model: Module, optimizer: Optimizer, options: TrainStepOptions = {}): Step {
  const parameters = optimizer.parameters();
  const { labelSmoothing = 0, classWeights, meanOver = 'weights' } = options;
  if (classWeights) checkWeights(classWeights);
  return ({ images, labels, learningRate, step, key }) => {
    model.train();
    let correct = tf.scalar(0) as tf.Tensor;
    const { value, gradients } = valueAndGradients(
      () => {
        const logits = model.forward(images!, new ForwardContext(new RandomKey(key!)));
        correct = tf.keep(correctTopK(logits, labels!, 1));
        const weights = classWeights && { classWeights: tf.tensor1d([...classWeights]) };
        return crossEntropy(logits, labels!, { labelSmoothing, meanOver, ...weights });
      },
      [...parameters.values()].map((parameter) => parameter.value),
    );
    const named = new Map([...parameters.keys()].map((name, i) => [name, gradients[i]!]));
    const clipped = options.clipNorm === undefined ? named : clipByGlobalNorm(named, options.clipNorm).gradients;
    optimizer.apply(clipped, { learningRate: learningRate!, step: step! });
    const outputs = { loss: value, correct: correct.clone() };
    correct.dispose();
    return outputs;
  };
}

function checkWeights(weights: readonly number[]): void {
  const wrong = weights.findIndex((weight) => !(weight > 0 && Number.isFinite(weight)));
  if (wrong >= 0) throw new UsageError(`The weight of class ${wrong} must be a number above 0, got ${weights[wrong]}.`);
}

/**
 * Sums over a batch of which some rows may be padding. Inputs: images `[B, H, W, C]`, labels `[B]` int32, mask `[B]`
 * (1 for an example, 0 for padding). Outputs, sums over the examples: loss (nats), top1, top5.
 */
export function evaluateStep(model: Module): Step {
  return ({ images, labels, mask }) => {
    model.eval();
    const logits = model.forward(images!, new ForwardContext());
    const loss = crossEntropy(logits, labels!, { reduction: 'none' });
    return {
      loss: tf.sum(tf.mul(loss, mask!)),
      top1: correctTopK(logits, labels!, 1, mask),
      top5: correctTopK(logits, labels!, Math.min(5, logits.shape[1]!), mask),
    };
  };
}

/** Input: images `[B, H, W, C]`. Output: predicted, the class of the largest logit of each, int32 `[B]`. */
export function predictStep(model: Module): Step {
  return ({ images }) => {
    model.eval();
    return { predicted: predictions(model.forward(images!, new ForwardContext())) };
  };
}
