// AdaptFormer, Chen et al. 2022 (arXiv:2205.13535), as the authors' code has it: the adapter is a module `adaptmlp` that
// reads x before norm2 (parallel) or what the MLP gives (sequential).
import { z } from 'zod';
import { type Tensor, tf } from '../engine/index.js';
import type { TransformerBlock } from '../models/index.js';
import {
  BatchNorm1d,
  Dropout,
  type ForwardContext,
  Identity,
  init,
  LayerNorm,
  Linear,
  Module,
  Parameter,
  Sequential,
} from '../nn/index.js';
import { defineMethod } from './method.js';
import { isHead, replaceBlocks, replaceHead, trainOnly } from './modules.js';

const options = z.strictObject({
  /** Width of the adapter. */
  bottleneck: z.int().positive().default(64),
  placement: z.enum(['parallel', 'sequential']).default('parallel'),
  /** What the adapter's result is multiplied by: a number, or one that is learnt from 1 on. */
  scale: z.union([z.number(), z.literal('learnable')]).default(0.1),
  /** Normalises what the adapter reads, or its scaled result. */
  layerNorm: z.enum(['none', 'in', 'out']).default('none'),
  dropout: z.number().min(0).lt(1).default(0.1),
  /** A batch norm without weights before the head, as the authors fine-tune and probe. */
  batchNormHead: z.boolean().default(true),
});

type Options = z.output<typeof options>;

/** scale · up(relu(down(x))), `[…, dim]` → `[…, dim]`. A fresh one gives zeros. */
class Adapter extends Module {
  readonly scale: Parameter | number;
  /** One norm with one name, wherever it acts. */
  adapterLayerNormBefore: Module;
  downProj: Module;
  dropout: Module;
  upProj: Linear;
  private readonly normalises: Options['layerNorm'];

  constructor(dim: number, { bottleneck, scale, layerNorm, dropout }: Options) {
    super();
    this.scale = scale === 'learnable' ? new Parameter([1], init.ones) : scale;
    this.adapterLayerNormBefore = layerNorm === 'none' ? new Identity() : new LayerNorm(dim);
    this.downProj = new Linear(dim, bottleneck, { weightInit: init.kaimingUniform(), biasInit: init.zeros });
    this.dropout = new Dropout(dropout);
    this.upProj = new Linear(bottleneck, dim, { weightInit: init.zeros, biasInit: init.zeros });
    this.normalises = layerNorm;
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const input = this.normalises === 'in' ? this.adapterLayerNormBefore.forward(x, context) : x;
    const down = tf.relu(this.downProj.forward(input, context));
    const scale = typeof this.scale === 'number' ? this.scale : this.scale.value;
    const scaled = this.upProj.forward(this.dropout.forward(down, context), context, scale);
    return this.normalises === 'out' ? this.adapterLayerNormBefore.forward(scaled, context) : scaled;
  }
}

/** A block with an adapter at its MLP: h + mlp(norm2(h)) + adapter(h), or h + f + adapter(f) with f = mlp(norm2(h)). */
class AdaptedBlock extends Module {
  protected override readonly names = { block: '' };
  readonly block: TransformerBlock;
  adaptmlp: Module;
  private readonly placement: Options['placement'];

  constructor(block: TransformerBlock, options: Options) {
    super();
    this.block = block;
    this.adaptmlp = new Adapter(block.dim, options);
    this.placement = options.placement;
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const h = this.block.attend(x, context);
    if (this.placement === 'parallel') {
      return tf.add(this.block.feedForward(h, context), this.adaptmlp.forward(h, context));
    }
    const branch = this.block.mlpBranch(h, context);
    return tf.add(h, tf.add(branch, this.adaptmlp.forward(branch, context)));
  }
}

export const adaptFormerOfficial = defineMethod({
  name: 'adaptformer-official',
  description: "AdaptFormer (arXiv:2205.13535) as in the authors' code, reading x: adapters and a fresh head train.",
  options,
  apply(model, options) {
    replaceHead(model, ({ inFeatures, outFeatures }) => {
      const fresh = new Linear(inFeatures, outFeatures, {
        weightInit: init.truncatedNormal(0.01),
        biasInit: init.zeros,
      });
      if (!options.batchNormHead) return fresh;
      return new Sequential([new BatchNorm1d(inFeatures, { affine: false, epsilon: 1e-6 }), fresh]);
    });
    replaceBlocks(model, (block) => new AdaptedBlock(block, options));
    trainOnly(model, (name) => name.includes('.adaptmlp.') || isHead(name));
  },
});
