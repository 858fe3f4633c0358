// LARS, You et al. 2017 (arXiv:1708.03888), as MoCo v3 uses it: neither decay nor scaling for biases and norms.
import { type Tensor, tf } from '../../engine/index.js';
import { addDecay, type Groups, Optimizer, type Rule, type UpdateInputs } from './optimizer.js';

export interface LarsOptions {
  /** Default 0.9. */
  momentum?: number;
  weightDecay?: number;
  /** Default 0.001. */
  trustCoefficient?: number;
}

const squaredNorm = (x: Tensor): Tensor => tf.sum(tf.square(x));

/**
 * For parameters of two and more dimensions g ← g + weightDecay · p, then g ← trustCoefficient · |p| / |g| · g, unscaled
 * where a norm is 0; for all m ← momentum · m + g, p ← p - lr · m. Slot: `momentum`.
 */
export class Lars extends Optimizer {
  private readonly momentum: number;
  private readonly trustCoefficient: number;

  constructor(groups: Groups, { momentum = 0.9, weightDecay = 0, trustCoefficient = 0.001 }: LarsOptions = {}) {
    super(groups, ['momentum'], weightDecay);
    this.momentum = momentum;
    this.trustCoefficient = trustCoefficient;
  }

  protected override rule({ learningRate }: UpdateInputs, weightDecay: number): Rule {
    const update: Rule['update'] = (value, gradient, { momentum }) => {
      const g = value.rank > 1 ? this.scaled(addDecay(gradient, value, weightDecay), value) : gradient;
      momentum!.assign(tf.add(tf.mul(momentum!, this.momentum), g));
      return tf.sub(value, tf.mul(momentum!, learningRate));
    };
    return { update };
  }

  private scaled(gradient: Tensor, value: Tensor): Tensor {
    const [ofValue, ofGradient] = [squaredNorm(value), squaredNorm(gradient)];
    const ratio = tf.mul(tf.sqrt(tf.div(ofValue, ofGradient)), this.trustCoefficient);
    const both = tf.logicalAnd(tf.greater(ofValue, 0), tf.greater(ofGradient, 0));
    return tf.mul(gradient, tf.where(both, ratio, 1));
  }
}
