// Vision Transformer, Dosovitskiy et al. 2021 (arXiv:2010.11929), with the structure and parameter names of timm's
// `VisionTransformer`.
import { type Grid, resampleTimm } from '../checkpoint/index.js';
import { type Tensor, tf } from '../engine/index.js';
import {
  Attention,
  Dropout,
  DropPath,
  type ForwardContext,
  Identity,
  init,
  LayerNorm,
  Linear,
  Mlp,
  Module,
  Parameter,
  PatchEmbed,
  type PatchEmbedding,
  pair,
  type Size,
  tensorDataOf,
  tensorOf,
} from '../nn/index.js';
import { LINEAR_STARTS, type LinearInit } from './linearInit.js';
import type { ImageModel } from './registry.js';
import type { PositionResampling, ResizableModel, SequenceModel, TransformerBlock } from './seams.js';

export interface ViTConfig {
  /** Height and width in pixels, or one number for both. */
  imgSize: Size;
  patchSize: Size;
  inChans: number;
  /** 0 leaves the head out: the model gives features. */
  numClasses: number;
  embedDim: number;
  depth: number;
  numHeads: number;
  mlpRatio: number;
  qkvBias: boolean;
  /** `token` classifies the class token, `avg` the mean of the patch tokens (with `fc_norm` instead of `norm`). */
  globalPool: 'token' | 'avg';
  classToken: boolean;
  /** Start value of layer scale (Touvron et al. 2021), or none. */
  initValues: number | undefined;
  normEps: number;
  linearInit: LinearInit;
  /** σ of the class token's truncated normal start. */
  clsTokenStd: number;
  /** Width of a linear layer with tanh before the head (Dosovitskiy et al., torchvision), or none. */
  representationSize: number | undefined;
  dropRate: number;
  posDropRate: number;
  projDropRate: number;
  attnDropRate: number;
  /** Stochastic depth at the last block; it grows linearly from 0 at the first. */
  dropPathRate: number;
}

export const VIT_DEFAULTS: ViTConfig = {
  imgSize: 224,
  patchSize: 16,
  inChans: 3,
  numClasses: 1000,
  embedDim: 768,
  depth: 12,
  numHeads: 12,
  mlpRatio: 4,
  qkvBias: true,
  globalPool: 'token',
  classToken: true,
  initValues: undefined,
  normEps: 1e-6,
  linearInit: 'truncatedNormal',
  clsTokenStd: 1e-6,
  representationSize: undefined,
  dropRate: 0,
  posDropRate: 0,
  projDropRate: 0,
  attnDropRate: 0,
  dropPathRate: 0,
};

const POSITION_INIT = init.truncatedNormal(0.02);

/** Scales each channel by a learnable factor. */
export class LayerScale extends Module {
  readonly gamma: Parameter;

  constructor(dim: number, initValue: number) {
    super();
    this.gamma = new Parameter([dim], init.constant(initValue));
  }

  override forward(x: Tensor): Tensor {
    return tf.mul(x, this.gamma.value);
  }
}

/** tanh(fc(x)), the layer between pooling and head in the first ViT. */
class PreLogits extends Module {
  fc: Module;

  constructor(dim: number, width: number) {
    super();
    this.fc = new Linear(dim, width, { weightInit: init.truncatedNormal(dim ** -0.5), biasInit: init.zeros });
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return tf.tanh(this.fc.forward(x, context));
  }
}

/** A pre-norm transformer block: x + attention(norm1(x)), then x + mlp(norm2(x)). */
export class Block extends Module implements TransformerBlock {
  readonly dim: number;
  norm1: Module;
  attn: Module;
  ls1: Module;
  dropPath1: Module;
  norm2: Module;
  mlp: Module;
  ls2: Module;
  dropPath2: Module;

  constructor(config: ViTConfig, dropPath: number) {
    super();
    const { embedDim, numHeads, mlpRatio, qkvBias, initValues, normEps, attnDropRate, projDropRate } = config;
    this.dim = embedDim;
    const starts = LINEAR_STARTS[config.linearInit];
    const scale = (): Module => (initValues === undefined ? new Identity() : new LayerScale(embedDim, initValues));
    this.norm1 = new LayerNorm(embedDim, normEps);
    this.attn = new Attention(embedDim, numHeads, {
      qkvBias,
      attnDrop: attnDropRate,
      projDrop: projDropRate,
      ...starts,
    });
    this.ls1 = scale();
    this.dropPath1 = new DropPath(dropPath);
    this.norm2 = new LayerNorm(embedDim, normEps);
    this.mlp = new Mlp(embedDim, Math.floor(embedDim * mlpRatio), { drop: projDropRate, ...starts });
    this.ls2 = scale();
    this.dropPath2 = new DropPath(dropPath);
  }

  /** `[B, N, D]` → `[B, N, D]`. */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return this.feedForward(this.attend(x, context), context);
  }

  /** x + attention(norm1(x)). */
  attend(x: Tensor, context?: ForwardContext): Tensor {
    const branch = this.attn.forward(this.norm1.forward(x, context), context);
    return tf.add(x, this.dropPath1.forward(this.ls1.forward(branch, context), context));
  }

  /** mlp(norm2(x)) with layer scale and stochastic depth. */
  mlpBranch(x: Tensor, context?: ForwardContext): Tensor {
    const branch = this.mlp.forward(this.norm2.forward(x, context), context);
    return this.dropPath2.forward(this.ls2.forward(branch, context), context);
  }

  /** x + mlp(norm2(x)). */
  feedForward(x: Tensor, context?: ForwardContext): Tensor {
    return tf.add(x, this.mlpBranch(x, context));
  }
}

/** timm's Vision Transformer. `forward` gives logits `[B, numClasses]`. */
export class VisionTransformer extends Module implements ImageModel, SequenceModel, ResizableModel {
  readonly clsToken: Parameter | undefined;
  posEmbed: Parameter;
  patchEmbed: PatchEmbedding;
  posDrop: Module;
  blocks: Module[];
  norm: Module;
  fcNorm: Module;
  preLogits: Module;
  headDrop: Dropout;
  head: Module;
  readonly config: ViTConfig;
  /** Tokens before the patch tokens: the class token, if there is one, and what was inserted behind it. */
  numPrefixTokens: number;

  /** @param patchEmbed what makes tokens of images; default: `PatchEmbed` */
  constructor(options: Partial<ViTConfig> = {}, patchEmbed?: PatchEmbedding) {
    super();
    const config = { ...VIT_DEFAULTS, ...options };
    this.config = config;
    const { embedDim, depth, normEps, dropPathRate, numClasses, globalPool, classToken, representationSize } = config;
    this.numPrefixTokens = classToken ? 1 : 0;
    const clsStart = init.truncatedNormal(config.clsTokenStd);
    this.clsToken = classToken ? new Parameter([1, 1, embedDim], clsStart) : undefined;
    const geometry = { imgSize: pair(config.imgSize), patchSize: pair(config.patchSize), inChans: config.inChans };
    this.patchEmbed = patchEmbed ?? new PatchEmbed({ ...geometry, embedDim });
    const tokens = this.patchEmbed.numPatches + this.numPrefixTokens;
    this.posEmbed = new Parameter([1, tokens, embedDim], POSITION_INIT);
    this.posDrop = new Dropout(config.posDropRate);
    const dropPath = (i: number): number => (depth > 1 ? (dropPathRate * i) / (depth - 1) : 0);
    this.blocks = Array.from({ length: depth }, (_, i) => new Block(config, dropPath(i)));
    const averages = globalPool === 'avg';
    this.norm = averages ? new Identity() : new LayerNorm(embedDim, normEps);
    this.fcNorm = averages ? new LayerNorm(embedDim, normEps) : new Identity();
    this.preLogits = representationSize === undefined ? new Identity() : new PreLogits(embedDim, representationSize);
    this.headDrop = new Dropout(config.dropRate);
    const headStart = LINEAR_STARTS[config.linearInit];
    this.head = numClasses > 0 ? new Linear(representationSize ?? embedDim, numClasses, headStart) : new Identity();
  }

  /** Channels of the features. */
  get numFeatures(): number {
    return this.config.embedDim;
  }

  /**
   * Takes images of another size from now on, as timm's `set_input_size`: patches keep their size, the position embedding
   * is resampled to the new grid, and nothing else changes. Optimisers and programs are made after it.
   * @throws ShapeError where no patch fits; UsageError for a way of resampling that there is not
   */
  setInputSize(imgSize: Size, resample: PositionResampling = {}): void {
    const size = pair(imgSize);
    const positions = this.positionsOn(this.patchEmbed.gridOf(size), resample);
    this.patchEmbed.setInputSize(size);
    this.config.imgSize = imgSize;
    if (positions === this.posEmbed) return;
    this.posEmbed.dispose();
    this.posEmbed = positions;
  }

  /** The position embedding for `grid`: this one where it fits. */
  protected positionsOn(grid: Grid, resample: PositionResampling): Parameter {
    const { gridSize: oldGrid, numPatches } = this.patchEmbed;
    const [, tokens, dim] = this.posEmbed.shape as [number, number, number];
    if (grid[0] === oldGrid[0] && grid[1] === oldGrid[1]) return this.posEmbed;
    const prefixTokens = tokens - numPatches;
    const positions = new Parameter([1, prefixTokens + grid[0] * grid[1], dim], POSITION_INIT);
    positions.trainable = this.posEmbed.trainable;
    if (this.posEmbed.initialized) {
      const table = tensorDataOf(this.posEmbed.value);
      positions.set(tensorOf(resampleTimm(table, { ...resample, oldGrid, newGrid: grid, prefixTokens })));
    }
    return positions;
  }

  /** Images `[B, H, W, C]` → tokens with class token and position `[B, N, D]`. */
  embed(images: Tensor, context?: ForwardContext): Tensor {
    const patches = this.patchEmbed.forward(images, context);
    const batch = patches.shape[0]!;
    const tokens = this.clsToken ? tf.concat([tf.tile(this.clsToken.value, [batch, 1, 1]), patches], 1) : patches;
    return tf.add(tokens, this.posEmbed.value);
  }

  /**
   * Images `[B, H, W, C]` → normalised tokens `[B, N, D]`. Taps `block.i`: tokens after block i, `attn.i`: its attention
   * maps, `encoded`: the result.
   */
  forwardFeatures(images: Tensor, context?: ForwardContext): Tensor {
    let x = this.posDrop.forward(this.embed(images, context), context);
    this.blocks.forEach((block, i) => {
      x = block.forward(x, context?.inside(i));
      context?.tap?.(`block.${i}`, x);
    });
    const encoded = this.norm.forward(x, context);
    context?.tap?.('encoded', encoded);
    return encoded;
  }

  /** Normalised tokens `[B, N, D]` → pooled features `[B, D]`. */
  pool(tokens: Tensor): Tensor {
    const [batch, count, dim] = tokens.shape as [number, number, number];
    if (this.config.globalPool === 'token')
      return tf.reshape(tf.slice(tokens, [0, 0, 0], [batch, 1, dim]), [batch, dim]);
    return tf.mean(tf.slice(tokens, [0, this.numPrefixTokens, 0], [batch, count - this.numPrefixTokens, dim]), 1);
  }

  /** Normalised tokens `[B, N, D]` → logits `[B, numClasses]`. */
  classify(tokens: Tensor, context?: ForwardContext): Tensor {
    const features = this.preLogits.forward(this.fcNorm.forward(this.pool(tokens), context), context);
    return this.head.forward(this.headDrop.forward(features, context), context);
  }

  /** Images `[B, H, W, C]` → logits `[B, numClasses]`. */
  override forward(images: Tensor, context?: ForwardContext): Tensor {
    return this.classify(this.forwardFeatures(images, context), context);
  }
}
