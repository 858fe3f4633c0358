// The ViT of MoCo v3, Chen et al. 2021 (arXiv:2104.02057), as facebookresearch/moco-v3 builds it on timm's: a fixed
// sine-cosine position embedding, Xavier initialisation, a frozen patch projection or a convolutional stem.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import {
  BatchNorm2d,
  type BatchNormOptions,
  Conv2d,
  type ForwardContext,
  init,
  type Module,
  Parameter,
  PatchEmbed,
  PatchEmbedding,
  pair,
  Relu,
  Sequential,
  type Size,
} from '../nn/index.js';
import { Rng } from '../random/index.js';
import { VIT_DEFAULTS, VisionTransformer, type ViTConfig } from './vit.js';

export interface MocoViTConfig extends ViTConfig {
  /** `patch` is one projection, `conv` four strided convolutions (Xiao et al. 2021, arXiv:2106.14881). */
  stem: 'patch' | 'conv';
  /** Leaves the patch projection at its random start, MoCo v3's remedy for unstable training. */
  stopGradConv1: boolean;
}

/** vit_small and vit_base of the reference have 12 heads and 12 blocks; with `conv` they have 11 blocks. */
export const MOCO_VIT_DEFAULTS: MocoViTConfig = {
  ...VIT_DEFAULTS,
  linearInit: 'xavier',
  stem: 'patch',
  stopGradConv1: false,
};

/**
 * The fixed position embedding `[1, 1 + rows · columns, dim]`: zeros for the class token, then for each patch the sines
 * and cosines of its first coordinate and the sines and cosines of its second, a quarter of the channels each.
 *
 * Token t has the coordinates ⌊t / rows⌋ and t mod rows, as the reference builds it: on a square grid that is row and
 * column, on any other it does not follow the order of the patches.
 * @throws UsageError where `dim` is no multiple of 4
 */
export function sinCosPositions([rows, columns]: readonly [number, number], dim: number, temperature = 10000) {
  if (dim % 4 !== 0) throw new UsageError(`A 2-D sine-cosine embedding needs a multiple of 4 channels, got ${dim}.`);
  const quarter = dim / 4;
  const table = new Float32Array((1 + rows * columns) * dim);
  for (let token = 0; token < rows * columns; token++) {
    const [first, second] = [Math.floor(token / rows), token % rows];
    const start = (1 + token) * dim;
    for (let i = 0; i < quarter; i++) {
      const omega = temperature ** (-i / quarter);
      table[start + i] = Math.sin(first * omega);
      table[start + quarter + i] = Math.cos(first * omega);
      table[start + 2 * quarter + i] = Math.sin(second * omega);
      table[start + 3 * quarter + i] = Math.cos(second * omega);
    }
  }
  return table;
}

/** Four 3 × 3 convolutions of stride 2, each with batch norm and ReLU, then a 1 × 1 convolution: patches of 16 pixels. */
export class ConvStem extends PatchEmbedding {
  proj: Module;

  /** @throws UsageError for another patch size or channels that are no multiple of 8; ShapeError for other images */
  constructor(
    imgSize: Size,
    patchSize: Size,
    inChans: number,
    private readonly embedDim: number,
    normOptions?: BatchNormOptions,
  ) {
    super(pair(imgSize), inChans);
    const patch = pair(patchSize);
    if (patch[0] !== 16 || patch[1] !== 16) {
      throw new UsageError(`The convolutional stem makes patches of 16 pixels, got ${patch.join(' × ')}.`);
    }
    if (embedDim % 8 !== 0) {
      throw new UsageError(`The convolutional stem needs a multiple of 8 channels, got ${embedDim}.`);
    }
    this.gridOf(this.imgSize);
    const layers: Module[] = [];
    let width = inChans;
    for (const out of [embedDim / 8, embedDim / 4, embedDim / 2, embedDim]) {
      layers.push(
        new Conv2d(width, out, 3, { stride: 2, padding: 1, bias: false }),
        new BatchNorm2d(out, normOptions),
        new Relu(),
      );
      width = out;
    }
    this.proj = new Sequential([...layers, new Conv2d(width, embedDim, 1)]);
  }

  gridOf(imgSize: readonly [number, number]): readonly [number, number] {
    if (imgSize.every((size) => size > 0 && size % 16 === 0)) return [imgSize[0] / 16, imgSize[1] / 16];
    throw new ShapeError(`The convolutional stem takes images of whole patches, got ${imgSize.join(' × ')}.`);
  }

  /** `[B, H, W, in]` → `[B, numPatches, embedDim]`. @throws ShapeError where the image has another size */
  override forward(images: Tensor, context?: ForwardContext): Tensor {
    this.checkImages(images);
    return tf.reshape(this.proj.forward(images, context), [images.shape[0]!, this.numPatches, this.embedDim]);
  }
}

/** MoCo v3's Vision Transformer; names and forward are those of `VisionTransformer`. */
export class MocoViT extends VisionTransformer {
  /** @throws UsageError where the stem or the position embedding does not take the configuration */
  constructor(options: Partial<MocoViTConfig> = {}) {
    const config = { ...MOCO_VIT_DEFAULTS, ...options };
    super(config, patchEmbedOf(config));
    const { embedDim, classToken } = config;
    if (!classToken) throw new UsageError("MoCo v3's position embedding has a place for the class token: leave it in.");
    if (config.stem === 'patch' && config.stopGradConv1) {
      for (const [, parameter] of this.patchEmbed.namedParameters()) parameter.fix();
    }
    this.posEmbed = sinCosEmbedding(this.patchEmbed.gridSize, embedDim);
  }

  /** The table of the other grid, computed anew: it is never resampled. */
  protected override positionsOn(grid: readonly [number, number]): Parameter {
    const table = sinCosEmbedding(grid, this.config.embedDim);
    if (this.posEmbed.initialized) table.initialize(new Rng(0, 'positions'));
    return table;
  }
}

function sinCosEmbedding(grid: readonly [number, number], dim: number): Parameter {
  return new Parameter([1, 1 + grid[0] * grid[1], dim], init.values(sinCosPositions(grid, dim))).fix();
}

function patchEmbedOf(config: MocoViTConfig): PatchEmbedding {
  const { imgSize, patchSize, inChans, embedDim } = config;
  if (config.stem === 'conv') return new ConvStem(imgSize, patchSize, inChans, embedDim);
  const patch = pair(patchSize);
  return new PatchEmbed({
    imgSize: pair(imgSize),
    patchSize: patch,
    inChans,
    embedDim,
    weightInit: init.uniform(Math.sqrt(6 / (inChans * patch[0] * patch[1] + embedDim))),
    biasInit: init.zeros,
  });
}
