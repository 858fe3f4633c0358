// Stochastic gradient descent with momentum as torch.optim.SGD does it. Without dampening it is Paddle's Momentum too.
import { type Tensor, tf, type Variable } from '../../engine/index.js';
import { addDecay, type Groups, Optimizer, type Rule, type UpdateInputs } from './optimizer.js';

export interface SgdOptions {
  momentum?: number;
  /** How much of the gradient does not enter the momentum, from the second update on. */
  dampening?: number;
  nesterov?: boolean;
  /** L2 penalty: weightDecay · p is added to the gradient. */
  weightDecay?: number;
}

/**
 * g ← g + weightDecay · p; v ← momentum · v + (1 - dampening) · g, at the first update v ← g; p ← p - lr · v, with
 * Nesterov p - lr · (g + momentum · v). Without momentum p ← p - lr · g. Slot: `momentum`.
 */
export class Sgd extends Optimizer {
  private readonly momentum: number;
  private readonly dampening: number;
  private readonly nesterov: boolean;

  constructor(groups: Groups, { momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}) {
    super(groups, momentum === 0 ? [] : ['momentum'], weightDecay);
    this.momentum = momentum;
    this.dampening = dampening;
    this.nesterov = nesterov;
  }

  protected override rule({ learningRate, step }: UpdateInputs, weightDecay: number): Rule {
    const share = this.dampening === 0 ? undefined : tf.where(tf.greater(step, 1), 1 - this.dampening, 1);
    const update: Rule['update'] = (value, gradient, slots) => {
      const g = addDecay(gradient, value, weightDecay);
      return tf.sub(value, tf.mul(this.direction(g, slots['momentum'], share), learningRate));
    };
    if (this.momentum === 0) return { update };
    const { momentum, nesterov } = this;
    const inPlace: Rule['inPlace'] = (value, gradient, slots) => ({
      op: 'VitlabMomentum',
      variables: [value, slots['momentum']!],
      inputs: [gradient, learningRate, share ?? tf.scalar(1)],
      attributes: { momentum: { float: momentum }, penalty: { float: weightDecay }, nesterov: { bool: nesterov } },
    });
    return { update, inPlace };
  }

  private direction(g: Tensor, velocity: Variable | undefined, share: Tensor | undefined): Tensor {
    if (!velocity) return g;
    velocity.assign(tf.add(tf.mul(velocity, this.momentum), share ? tf.mul(g, share) : g));
    return this.nesterov ? tf.add(g, tf.mul(velocity, this.momentum)) : velocity;
  }
}
