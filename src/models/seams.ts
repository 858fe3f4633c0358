// What a model shows to those who change it: the parts that every architecture has, by role and not by model. A model's
// classifier is its child `head`; its blocks satisfy `TransformerBlock`.
import type { Tensor } from '../engine/index.js';
import type { ForwardContext, Module } from '../nn/index.js';

/** A pre-norm transformer block. Its children may be replaced. */
export interface TransformerBlock extends Module {
  /** Channels of its tokens. */
  readonly dim: number;
  norm1: Module;
  attn: Module;
  norm2: Module;
  mlp: Module;
  /** x + attention(norm1(x)). */
  attend(x: Tensor, context?: ForwardContext): Tensor;
  /** What the MLP adds: mlp(norm2(x)) with layer scale and stochastic depth, without x. */
  mlpBranch(x: Tensor, context?: ForwardContext): Tensor;
  /** x + mlpBranch(x). */
  feedForward(x: Tensor, context?: ForwardContext): Tensor;
}

/** Whether a module is a transformer block, told by what it can do. */
export function isTransformerBlock(module: Module): module is TransformerBlock {
  const block = module as unknown as Partial<TransformerBlock>;
  return [block.attend, block.mlpBranch, block.feedForward].every((method) => typeof method === 'function');
}
