// Swin Transformer, Liu et al. 2021 (arXiv:2103.14030), with the parameter names of timm's `SwinTransformer`. Where timm,
// torchvision and the original code behave differently, the configuration says what to do.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import {
  Dropout,
  type ForwardContext,
  Identity,
  init,
  LayerNorm,
  Linear,
  Module,
  PatchProjection,
  pair,
} from '../nn/index.js';
import { LINEAR_STARTS, type LinearInit } from './linearInit.js';
import type { ImageModel } from './registry.js';
import type { MapMerging } from './seams.js';
import { SwinBlock } from './swinBlock.js';
import { SWIN_DEFAULTS, type SwinConfig } from './swinConfig.js';
import { type Pair, padToMultiple } from './swinWindows.js';

/** Images to a normalised map of patch tokens. */
class SwinPatchEmbed extends Module {
  proj: Module;
  norm: Module;
  private readonly patch: Pair;

  constructor(private readonly config: SwinConfig) {
    super();
    this.patch = pair(config.patchSize);
    const fanIn = config.inChans * this.patch[0] * this.patch[1];
    const bias = init.uniform(1 / Math.sqrt(fanIn));
    this.proj = new PatchProjection(config.inChans, config.embedDim, this.patch, init.kaimingUniform(), bias);
    this.norm = new LayerNorm(config.embedDim, config.normEps);
  }

  /** `[B, H, W, in]` → `[B, H', W', C]`. @throws ShapeError where the image has another size or channel count */
  override forward(images: Tensor, context?: ForwardContext): Tensor {
    const { imgSize, inChans, padImage } = this.config;
    const [, height, width, channels] = images.shape;
    const expected = imgSize === undefined ? [height, width] : pair(imgSize);
    if (images.rank !== 4 || channels !== inChans || height !== expected[0] || width !== expected[1]) {
      const wanted = imgSize === undefined ? ['H', 'W'] : expected;
      throw new ShapeError(`Expected images [B, ${wanted.join(', ')}, ${inChans}], got [${images.shape}].`);
    }
    const whole = padImage ? padToMultiple(images, this.patch) : images;
    const grid = [0, 1].map((axis) => Math.floor(whole.shape[axis + 1]! / this.patch[axis]!)) as [number, number];
    if (grid[0] * grid[1] === 0) throw noPatch([height!, width!], this.patch);
    const tokens = this.norm.forward(this.proj.forward(whole, context), context);
    return tf.reshape(tokens, [images.shape[0]!, ...grid, this.config.embedDim]);
  }
}

const noPatch = (image: Pair, patch: Pair): ShapeError =>
  new ShapeError(`No patch of ${patch.join(' × ')} fits into an image of ${image.join(' × ')} pixels.`);

/** Four neighbours into one place with twice the channels: `[B, H, W, C]` → `[B, ⌈H/2⌉, ⌈W/2⌉, 2C]`. */
export class PatchMerging extends Module implements MapMerging {
  norm: Module;
  reduction: Module;

  constructor(dim: number, normEps: number, linearInit: LinearInit) {
    super();
    this.norm = new LayerNorm(4 * dim, normEps);
    this.reduction = new Linear(4 * dim, 2 * dim, { bias: false, ...LINEAR_STARTS[linearInit] });
  }

  override forward(map: Tensor, context?: ForwardContext): Tensor {
    const even = padToMultiple(map, [2, 2]);
    const [batch, height, width, channels] = even.shape as [number, number, number, number];
    const split = tf.reshape(even, [batch, height / 2, 2, width / 2, 2, channels]);
    // columns before rows: top left, bottom left, top right, bottom right
    const neighbours = tf.reshape(tf.transpose(split, [0, 1, 3, 4, 2, 5]), [
      batch,
      height / 2,
      width / 2,
      4 * channels,
    ]);
    return this.reduction.forward(this.norm.forward(neighbours, context), context);
  }

  /** Tokens beside the map, each as its own four neighbours: `[B, P, C]` → `[B, P, 2C]`. */
  mergeExtra(extra: Tensor, context?: ForwardContext): Tensor {
    const neighbours = tf.concat([extra, extra, extra, extra], 2);
    return this.reduction.forward(this.norm.forward(neighbours, context), context);
  }
}

/** Blocks at one resolution, with the merging that leads to it. */
export class SwinStage extends Module {
  downsample: Module;
  blocks: Module[];

  constructor(downsample: Module, blocks: Module[]) {
    super();
    this.downsample = downsample;
    this.blocks = blocks;
  }

  override forward(map: Tensor, context?: ForwardContext): Tensor {
    const start = this.downsample.forward(map, context);
    return this.blocks.reduce((x, block, i) => block.forward(x, context?.inside(i)), start);
  }
}

class ClassifierHead extends Module {
  drop: Dropout;
  fc: Module;

  constructor(dim: number, { numClasses, dropRate, linearInit }: SwinConfig) {
    super();
    this.drop = new Dropout(dropRate);
    this.fc = numClasses > 0 ? new Linear(dim, numClasses, LINEAR_STARTS[linearInit]) : new Identity();
  }

  override forward(features: Tensor, context?: ForwardContext): Tensor {
    return this.fc.forward(this.drop.forward(features, context), context);
  }
}

/** Swin. `forward` gives logits `[B, numClasses]`. */
export class SwinTransformer extends Module implements ImageModel {
  protected override readonly names = { stageNorms: '' };
  patchEmbed: Module;
  layers: SwinStage[];
  norm: Module;
  /** `norm0` and on, where the configuration asks for them. */
  readonly stageNorms: Readonly<Record<string, Module>>;
  head: Module;
  readonly config: SwinConfig;
  /** Channels of the last stage. */
  readonly numFeatures: number;

  /** @throws UsageError where the configuration contradicts itself */
  constructor(options: Partial<SwinConfig> = {}) {
    super();
    const config = { ...SWIN_DEFAULTS, ...options };
    this.config = config;
    const { embedDim, depths, normEps, stageNorms, linearInit } = config;
    check(config);
    const dims = depths.map((_, stage) => embedDim * 2 ** stage);
    this.numFeatures = dims.at(-1)!;
    this.patchEmbed = new SwinPatchEmbed(config);
    this.layers = depths.map((_, stage) => {
      const merging = stage === 0 ? new Identity() : new PatchMerging(dims[stage - 1]!, normEps, linearInit);
      return new SwinStage(merging, blocksOf(config, stage, dims[stage]!));
    });
    this.stageNorms = Object.fromEntries(
      stageNorms ? dims.map((dim, stage) => [`norm${stage}`, new LayerNorm(dim, normEps)]) : [],
    );
    this.norm = stageNorms ? new Identity() : new LayerNorm(this.numFeatures, normEps);
    this.head = new ClassifierHead(this.numFeatures, config);
  }

  /**
   * Images `[B, H, W, C]` → the map of every stage `[B, H', W', C']`, normalised where there are stage norms. Taps
   * `stage.i`: the map after stage i, `attn.i.j`: the attention maps of its block j.
   */
  forwardStages(images: Tensor, context?: ForwardContext): Tensor[] {
    let map = this.patchEmbed.forward(images, context);
    return this.layers.map((stage, i) => {
      map = stage.forward(map, context?.inside(i));
      context?.tap?.(`stage.${i}`, map);
      return this.stageNorms[`norm${i}`]?.forward(map, context) ?? map;
    });
  }

  /** Images `[B, H, W, C]` → normalised map of the last stage `[B, H', W', numFeatures]`. */
  forwardFeatures(images: Tensor, context?: ForwardContext): Tensor {
    return this.norm.forward(this.forwardStages(images, context).at(-1)!, context);
  }

  /** Map `[B, H, W, C]` → its mean `[B, C]`. */
  pool(map: Tensor): Tensor {
    return tf.mean(map, [1, 2]);
  }

  /** Normalised map `[B, H, W, C]` → logits `[B, numClasses]`. */
  classify(map: Tensor, context?: ForwardContext): Tensor {
    return this.head.forward(this.pool(map), context);
  }

  /** Images `[B, H, W, C]` → logits `[B, numClasses]`. */
  override forward(images: Tensor, context?: ForwardContext): Tensor {
    return this.classify(this.forwardFeatures(images, context), context);
  }
}

function check({ depths, numHeads, embedDim, smallMap, imgSize }: SwinConfig): void {
  if (depths.length === 0 || depths.length !== numHeads.length) {
    throw new UsageError(`depths and numHeads need an entry a stage, got ${depths.length} and ${numHeads.length}.`);
  }
  numHeads.forEach((heads, stage) => {
    const dim = embedDim * 2 ** stage;
    if (dim % heads !== 0) throw new UsageError(`Stage ${stage} has ${dim} channels, no multiple of ${heads} heads.`);
  });
  if (smallMap === 'shrink' && imgSize === undefined) {
    throw new UsageError(`smallMap 'shrink' fits windows to the image, so it needs imgSize.`);
  }
}

function blocksOf(config: SwinConfig, stage: number, dim: number): SwinBlock[] {
  const { depths, numHeads, smallMap, padBeforeShift, maskValue, mlpRatio, qkvBias, normEps, linearInit } = config;
  const target = pair(config.windowSize);
  const map = smallMap === 'shrink' ? mapSize(config, stage) : ([Infinity, Infinity] as const);
  const window: Pair = [Math.min(target[0], map[0]), Math.min(target[1], map[1])];
  const shiftAlong = (axis: 0 | 1): number => (map[axis] <= window[axis] ? 0 : Math.floor(target[axis] / 2));
  const total = depths.reduce((a, b) => a + b, 0);
  const before = depths.slice(0, stage).reduce((a, b) => a + b, 0);
  const dropPath = (i: number): number => (total > 1 ? (config.dropPathRate * (before + i)) / (total - 1) : 0);
  return Array.from({ length: depths[stage]! }, (_, i) => {
    const shift: Pair = i % 2 === 0 ? [0, 0] : [shiftAlong(0), shiftAlong(1)];
    return new SwinBlock({
      dim,
      numHeads: numHeads[stage]!,
      window,
      shift,
      unshiftSingleWindow: smallMap === 'unshift',
      padBeforeShift,
      maskValue,
      mlpRatio,
      qkvBias,
      normEps,
      linearInit,
      projDrop: config.projDropRate,
      attnDrop: config.attnDropRate,
      dropPath: dropPath(i),
    });
  });
}

/** Height and width of a stage's map for the configured image. */
function mapSize({ imgSize, patchSize, padImage }: SwinConfig, stage: number): Pair {
  const image = pair(imgSize!);
  const patch = pair(patchSize);
  const along = (axis: 0 | 1): number => {
    const patches = image[axis] / patch[axis];
    return Math.ceil((padImage ? Math.ceil(patches) : Math.floor(patches)) / 2 ** stage);
  };
  const map: Pair = [along(0), along(1)];
  if (map[0] * map[1] === 0) throw noPatch(image, patch);
  return map;
}
