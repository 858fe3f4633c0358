// The small layers: linear, layer norm, dropout, stochastic depth, activations.
import { type Tensor, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import type { ForwardContext } from './context.js';
import { dropout } from './functional/dropout.js';
import { gelu } from './functional/gelu.js';
import { layerNorm } from './functional/layerNorm.js';
import { linear } from './functional/linear.js';
import { type Initializer, kaimingUniform, ones, uniform, zeros } from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

export interface LinearOptions {
  bias?: boolean;
  /** Default: PyTorch's, uniform in ±1/√in for weight and bias. */
  weightInit?: Initializer;
  biasInit?: Initializer;
}

/** y = x Wᵀ + b; weight `[out, in]`, bias `[out]`. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, weightInit = kaimingUniform(), biasInit = uniform(1 / Math.sqrt(inFeatures)) }: LinearOptions = {},
  ) {
    super();
    this.weight = new Parameter([outFeatures, inFeatures], weightInit);
    this.bias = bias ? new Parameter([outFeatures], biasInit) : undefined;
  }

  /** `[…, in]` → `[…, out]`, times `scale` (of size 1): the parameters are scaled, which are fewer than the outputs. */
  override forward(x: Tensor, _context?: ForwardContext, scale?: Tensor | number): Tensor {
    const scaled = (value: Tensor): Tensor =>
      scale === undefined ? value : tf.reshape(tf.mul(value, scale), value.shape);
    return linear(x, scaled(this.weight.value), this.bias && scaled(this.bias.value));
  }
}

/** Layer normalisation over the last axis; weight and bias `[dim]`. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(
    readonly dim: number,
    readonly epsilon = 1e-5,
  ) {
    super();
    this.weight = new Parameter([dim], ones);
    this.bias = new Parameter([dim], zeros);
  }

  /** norm(x), or norm(x) · scale + x · skip with two vectors `[dim]`, in one pass. */
  override forward(x: Tensor, _context?: ForwardContext, mix?: { scale: Tensor; skip: Tensor }): Tensor {
    const { weight, bias, epsilon } = this;
    if (!mix) return layerNorm(x, weight.value, bias.value, epsilon);
    return layerNorm(x, tf.mul(weight.value, mix.scale), tf.mul(bias.value, mix.scale), epsilon, mix.skip);
  }
}

function checkProbability(name: string, p: number): void {
  if (!(p >= 0 && p < 1)) throw new UsageError(`${name} needs a probability in [0, 1), got ${p}.`);
}

/** Sets each entry to zero with probability `p` in training and scales the rest by 1 / (1 - p). */
export class Dropout extends Module {
  /** @param always drops outside training too */
  constructor(
    readonly p: number,
    readonly always = false,
  ) {
    super();
    checkProbability('Dropout', p);
  }

  /** Whether it drops anything now. */
  get active(): boolean {
    return this.p > 0 && (this.training || this.always);
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    if (!this.active) return x;
    return dropout(x, x.shape, this.p, 'dropout', context);
  }
}

/** Stochastic depth, Huang et al. 2016: drops the whole branch of an example with probability `p` in training. */
export class DropPath extends Module {
  constructor(readonly p: number) {
    super();
    checkProbability('DropPath', p);
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    if (!this.training || this.p === 0) return x;
    return dropout(x, [x.shape[0]!, ...x.shape.slice(1).fill(1)], this.p, 'dropPath', context);
  }
}

/** The exact GELU as a module. */
export class Gelu extends Module {
  override forward(x: Tensor): Tensor {
    return gelu(x);
  }
}

/** max(x, 0) as a module. */
export class Relu extends Module {
  override forward(x: Tensor): Tensor {
    return tf.relu(x);
  }
}
