// Multi-head self-attention and the MLP of a transformer block, named as timm names them.
import type { Tensor } from '../engine/index.js';
import { tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import type { ForwardContext } from './context.js';
import { type AttentionSettings, attention, attentionWeights, mergeHeads, splitHeads } from './functional/attention.js';
import type { Initializer } from './init.js';
import { Dropout, Gelu, Linear } from './layers.js';
import { Module } from './module.js';

export interface AttentionOptions {
  qkvBias?: boolean;
  attnDrop?: number;
  projDrop?: number;
  weightInit?: Initializer;
  /** Of the weight that holds query, key and value; default: `weightInit`. */
  qkvInit?: Initializer;
  biasInit?: Initializer;
}

/** Multi-head self-attention, Vaswani et al. 2017. */
export class Attention extends Module {
  qkv: Module;
  attnDrop: Dropout;
  proj: Module;
  projDrop: Dropout;
  private readonly scale: number;

  /** @throws UsageError where `dim` is no multiple of `numHeads` */
  constructor(
    readonly dim: number,
    readonly numHeads: number,
    { qkvBias = true, attnDrop = 0, projDrop = 0, qkvInit, ...inits }: AttentionOptions = {},
  ) {
    super();
    if (dim % numHeads !== 0) {
      throw new UsageError(`embedDim must be a multiple of numHeads, got ${dim} and ${numHeads}.`);
    }
    this.scale = (dim / numHeads) ** -0.5;
    this.qkv = new Linear(dim, 3 * dim, { bias: qkvBias, ...inits, ...(qkvInit && { weightInit: qkvInit }) });
    this.attnDrop = new Dropout(attnDrop);
    this.proj = new Linear(dim, dim, inits);
    this.projDrop = new Dropout(projDrop);
  }

  /** `[B, N, D]` → `[B, N, D]`. Taps `attn`: `[B, heads, N, N]`. */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const { numHeads, scale, attnDrop } = this;
    const mixed = mixTokens(this.qkv.forward(x, context), { numHeads, scale, attnDrop }, context);
    return this.projDrop.forward(this.proj.forward(mixed, context), context);
  }
}

/** `attention` with dropout on its weights and the tap `attn` for them, which need the weights as a tensor. */
export function mixTokens(
  qkv: Tensor,
  { attnDrop, ...settings }: AttentionSettings & { attnDrop: Dropout },
  context?: ForwardContext,
): Tensor {
  if (!context?.tap && !attnDrop.active) return attention(qkv, settings);
  const { numHeads, scale, bias, mask } = settings;
  const [q, k, v] = splitHeads(qkv, numHeads);
  const weights = attentionWeights(q, k, scale, bias, mask);
  context?.tap?.('attn', weights);
  return mergeHeads(tf.matMul(attnDrop.forward(weights, context), v));
}

/** Two linear layers with a GELU between them. */
export class Mlp extends Module {
  fc1: Module;
  act: Module;
  drop1: Dropout;
  fc2: Module;
  drop2: Dropout;

  constructor(
    dim: number,
    hidden: number,
    {
      drop = 0,
      out = dim,
      ...inits
    }: { drop?: number; out?: number; weightInit?: Initializer; biasInit?: Initializer } = {},
  ) {
    super();
    this.fc1 = new Linear(dim, hidden, inits);
    this.act = new Gelu();
    this.drop1 = new Dropout(drop);
    this.fc2 = new Linear(hidden, out, inits);
    this.drop2 = new Dropout(drop);
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const hidden = this.drop1.forward(this.act.forward(this.fc1.forward(x, context), context), context);
    return this.drop2.forward(this.fc2.forward(hidden, context), context);
  }
}
