// Adam, Kingma & Ba 2015 (arXiv:1412.6980), and AdamW, Loshchilov & Hutter 2019 (arXiv:1711.05101), as torch.optim does
// them: epsilon outside the root, both moments corrected for their start at zero.
import { tf } from '../../engine/index.js';
import { addDecay, type Groups, Optimizer, type Rule, type UpdateInputs } from './optimizer.js';

export interface AdamOptions {
  /** Decay of the first and the second moment; default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  epsilon?: number;
  /** Adam: an L2 penalty in the gradient, default 0. AdamW: p shrinks by lr · weightDecay, default 0.01. */
  weightDecay?: number;
}

/** Moments m and v in the slots `exp_avg` and `exp_avg_sq`: p ← p - lr · (m / c₁) / (√(v / c₂) + ε), cᵢ = 1 - βᵢ^step. */
abstract class Moments extends Optimizer {
  private readonly betas: readonly [number, number];
  private readonly epsilon: number;

  constructor(
    groups: Groups,
    { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0 }: AdamOptions,
    private readonly decoupled: boolean,
  ) {
    super(groups, ['exp_avg', 'exp_avg_sq'], weightDecay);
    this.betas = betas;
    this.epsilon = epsilon;
  }

  protected override rule({ learningRate, step }: UpdateInputs, weightDecay: number): Rule {
    const [beta1, beta2] = this.betas;
    // 1 - β^step by way of expm1: a power close to 1 would lose its digits in float32
    const correction = (beta: number) => tf.neg(tf.expm1(tf.mul(step, Math.log(beta))));
    // (m / c₁) / (√(v / c₂) + ε) = (√c₂ / c₁) · m / (√v + ε √c₂), which leaves the per-step factors to scalars
    const root = tf.sqrt(correction(beta2));
    const size = tf.div(tf.mul(learningRate, root), correction(beta1));
    const epsilon = tf.mul(root, this.epsilon);
    const shrink = this.decoupled && weightDecay !== 0 ? tf.sub(1, tf.mul(learningRate, weightDecay)) : undefined;
    const update: Rule['update'] = (value, gradient, { exp_avg: first, exp_avg_sq: second }) => {
      const g = this.decoupled ? gradient : addDecay(gradient, value, weightDecay);
      first!.assign(tf.add(tf.mul(first!, beta1), tf.mul(g, 1 - beta1)));
      second!.assign(tf.add(tf.mul(second!, beta2), tf.mul(tf.square(g), 1 - beta2)));
      const change = tf.mul(tf.div(first!, tf.add(tf.sqrt(second!), epsilon)), size);
      return tf.sub(shrink ? tf.mul(value, shrink) : value, change);
    };
    const penalty = this.decoupled ? 0 : weightDecay;
    const inPlace: Rule['inPlace'] = (value, gradient, { exp_avg: first, exp_avg_sq: second }) => ({
      op: 'VitlabAdam',
      variables: [value, first!, second!],
      inputs: [gradient, size, epsilon, shrink ?? tf.scalar(1)],
      attributes: {
        ...{ beta1: { float: beta1 }, rest1: { float: 1 - beta1 } },
        ...{ beta2: { float: beta2 }, rest2: { float: 1 - beta2 } },
        penalty: { float: penalty },
      },
    });
    return { update, inPlace };
  }
}

/** Adam; weight decay is an L2 penalty. */
export class Adam extends Moments {
  constructor(groups: Groups, options: AdamOptions = {}) {
    super(groups, options, false);
  }
}

/** AdamW: p is shrunk by (1 - lr · weightDecay) before Adam's step. */
export class AdamW extends Moments {
  constructor(groups: Groups, { weightDecay = 0.01, ...options }: AdamOptions = {}) {
    super(groups, { ...options, weightDecay }, true);
  }
}
