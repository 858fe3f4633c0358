// AdaptFormer, Chen et al. 2022 (arXiv:2205.13535), in the form of a PaddlePaddle write-up that moves a small ViT from
// CIFAR-100 to CIFAR-10: the adapter lies beside the MLP and reads norm2(x) too, its scale is learnt, and stochastic
// depth acts on the sum of both.
import { z } from 'zod';
import { type Tensor, tf } from '../engine/index.js';
import type { TransformerBlock } from '../models/index.js';
import { Dropout, type ForwardContext, init, Linear, Module, Parameter } from '../nn/index.js';
import { defineMethod } from './method.js';
import { isHead, replaceBlocks, trainOnly } from './modules.js';

/** Truncated at two standard deviations, as Paddle's TruncatedNormal was. */
const LINEAR_INIT = { weightInit: init.truncatedNormal(0.02, 0.04), biasInit: init.zeros };

const adaptFormerOptions = z.strictObject({
  /** Width of the adapter. */
  bottleneck: z.int().positive().default(64),
  /** Dropout between ReLU and up-projection. */
  dropout: z.number().min(0).lt(1).default(0.1),
  /**
   * Drops in evaluation too, which is what the write-up's call of Paddle's functional dropout does. Every pass then needs
   * a context with a random key.
   */
  alwaysDrop: z.boolean().default(false),
  /** False trains the whole network: the write-up's control group. */
  freeze: z.boolean().default(true),
  /** Whether the last norm trains. The write-up's code never stops it; its 4.56 MB and 1.38 % leave it out. */
  trainNorm: z.boolean().default(true),
});

/** The MLP of a block with something beside it that reads the same input. Its parameters stay the MLP's own. */
class MlpWithAdapter extends Module {
  protected override readonly names = { mlp: '' };

  constructor(
    readonly mlp: Module,
    private readonly adapter: (x: Tensor, context?: ForwardContext) => Tensor,
  ) {
    super();
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return tf.add(this.adapter(x, context), this.mlp.forward(x, context));
  }
}

/** A block whose MLP becomes mlp(y) + scale · up(relu(down(y))) with y = norm2(x). Names: as if all were the block's. */
class AdaptFormerBlock extends Module {
  protected override readonly names = { block: '' };
  readonly scale = new Parameter([1, 1], init.ones);
  readonly block: TransformerBlock;
  downProj: Module;
  dropout: Module;
  upProj: Linear;

  constructor(block: TransformerBlock, options: z.output<typeof adaptFormerOptions>) {
    super();
    this.block = block;
    this.downProj = new Linear(block.dim, options.bottleneck, LINEAR_INIT);
    this.dropout = new Dropout(options.dropout, options.alwaysDrop);
    this.upProj = new Linear(options.bottleneck, block.dim, LINEAR_INIT);
    block.mlp = new MlpWithAdapter(block.mlp, (y, context) => this.adapt(y, context));
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return this.block.forward(x, context);
  }

  private adapt(y: Tensor, context?: ForwardContext): Tensor {
    const down = tf.relu(this.downProj.forward(y, context));
    return this.upProj.forward(this.dropout.forward(down, context), context, this.scale.value);
  }
}

const isAdapter = (name: string): boolean => /\.(down_proj\.\w+|up_proj\.\w+|scale)$/.test(name);
const isLastNorm = (name: string): boolean => /^(norm|fc_norm)\./.test(name);

export const adaptFormer = defineMethod({
  name: 'adaptformer',
  description:
    'AdaptFormer (arXiv:2205.13535) reading norm2(x), with learnt scale: adapters, last norm and head train.',
  options: adaptFormerOptions,
  apply(model, options) {
    replaceBlocks(model, (block) => new AdaptFormerBlock(block, options));
    const trains = (name: string) => isAdapter(name) || isHead(name) || (options.trainNorm && isLastNorm(name));
    trainOnly(model, options.freeze ? trains : () => true);
  },
});
