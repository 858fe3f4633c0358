// 2-D convolution as a layer, with PyTorch's weights and options.
import type { Tensor } from '../engine/index.js';
import { UsageError } from '../errors.js';
import { conv2d } from './functional/conv2d.js';
import { type Initializer, kaimingUniform, uniform } from './init.js';
import { Module } from './module.js';
import { pair, type Size } from './pair.js';
import { Parameter } from './parameter.js';

export interface Conv2dOptions {
  stride?: Size;
  /** Zeros on each side. */
  padding?: Size;
  /** `inChannels` makes it depthwise. */
  groups?: number;
  bias?: boolean;
  /** Default: PyTorch's, uniform in ±1/√fanIn for weight and bias. */
  weightInit?: Initializer;
  biasInit?: Initializer;
}

/** Convolution of channels-last images; weight `[out, in / groups, kh, kw]`, bias `[out]`. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly groups: number;

  /** @throws UsageError where the channels are no multiple of `groups` */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Size,
    { stride = 1, padding = 0, groups = 1, bias = true, ...inits }: Conv2dOptions = {},
  ) {
    super();
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new UsageError(`Channels must be multiples of groups, got ${inChannels}, ${outChannels} and ${groups}.`);
    }
    this.kernelSize = pair(kernelSize);
    this.stride = pair(stride);
    this.padding = pair(padding);
    this.groups = groups;
    const shape = [outChannels, inChannels / groups, ...this.kernelSize];
    const fanIn = shape.slice(1).reduce((a, b) => a * b, 1);
    const { weightInit = kaimingUniform(), biasInit = uniform(1 / Math.sqrt(fanIn)) } = inits;
    this.weight = new Parameter(shape, weightInit);
    this.bias = bias ? new Parameter([outChannels], biasInit) : undefined;
  }

  /** `[B, H, W, in]` → `[B, H', W', out]`. @throws ShapeError where the image does not fit */
  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight.value, this, this.bias?.value);
  }
}
