// Images to patch tokens: a convolution whose stride is its kernel, computed as one matrix product.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError } from '../errors.js';
import type { ForwardContext } from './context.js';
import { linear } from './functional/linear.js';
import { type Initializer, kaimingUniform, uniform } from './init.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';

/** The convolution that projects a patch; weight `[out, in, ph, pw]`, bias `[out]`. */
export class PatchProjection extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly patch: readonly [number, number],
    weightInit: Initializer,
    biasInit: Initializer,
  ) {
    super();
    this.weight = new Parameter([outChannels, inChannels, ...patch], weightInit);
    this.bias = new Parameter([outChannels], biasInit);
  }

  /** `[B, H, W, C]` → `[B, ⌊H/ph⌋ · ⌊W/pw⌋, out]`, row by row. What is left over at the right and bottom is cut. */
  override forward(x: Tensor): Tensor {
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    const [ph, pw] = this.patch;
    const rows = Math.floor(height / ph);
    const columns = Math.floor(width / pw);
    const cut =
      rows * ph === height && columns * pw === width
        ? x
        : tf.slice(x, [0, 0, 0, 0], [batch, rows * ph, columns * pw, channels]);
    // tfjs-node transposes at most six axes, which is what this takes
    const patches = tf.transpose(tf.reshape(cut, [batch, rows, ph, columns, pw, channels]), [0, 1, 3, 5, 2, 4]);
    const flat = tf.reshape(patches, [batch, rows * columns, channels * ph * pw]);
    const weight = tf.reshape(this.weight.value, [this.outChannels, channels * ph * pw]);
    return linear(flat, weight, this.bias.value);
  }
}

/** What turns images into a grid of tokens. */
export abstract class PatchEmbedding extends Module {
  imgSize: readonly [number, number];

  constructor(
    imgSize: readonly [number, number],
    readonly inChans: number,
  ) {
    super();
    this.imgSize = imgSize;
  }

  /** The grid of images of `imgSize`. @throws ShapeError where they cannot be cut into patches */
  abstract gridOf(imgSize: readonly [number, number]): readonly [number, number];

  /** Tokens in a column and in a row. */
  get gridSize(): readonly [number, number] {
    return this.gridOf(this.imgSize);
  }

  get numPatches(): number {
    const [rows, columns] = this.gridSize;
    return rows * columns;
  }

  /** Takes images of this size from now on; no parameter changes. @throws ShapeError as `gridOf` */
  setInputSize(imgSize: readonly [number, number]): void {
    this.gridOf(imgSize);
    this.imgSize = imgSize;
  }

  /** @throws ShapeError where these are no images `[B, H, W, in]` of the size */
  protected checkImages({ rank, shape }: Tensor): void {
    const [height, width] = this.imgSize;
    if (rank === 4 && shape[1] === height && shape[2] === width && shape[3] === this.inChans) return;
    throw new ShapeError(`Expected images [B, ${height}, ${width}, ${this.inChans}], got [${shape}].`);
  }
}

export interface PatchEmbedOptions {
  imgSize: readonly [number, number];
  patchSize: readonly [number, number];
  inChans?: number;
  embedDim: number;
  weightInit?: Initializer;
  biasInit?: Initializer;
}

/** Splits images into patches and projects each to a token. */
export class PatchEmbed extends PatchEmbedding {
  proj: Module;
  private readonly patchSize: readonly [number, number];

  constructor({ imgSize, patchSize, inChans = 3, embedDim, ...inits }: PatchEmbedOptions) {
    super(imgSize, inChans);
    this.patchSize = patchSize;
    this.gridOf(imgSize);
    const fanIn = inChans * patchSize[0] * patchSize[1];
    const { weightInit = kaimingUniform(), biasInit = uniform(1 / Math.sqrt(fanIn)) } = inits;
    this.proj = new PatchProjection(inChans, embedDim, patchSize, weightInit, biasInit);
  }

  gridOf(imgSize: readonly [number, number]): readonly [number, number] {
    const [rows, columns] = [Math.floor(imgSize[0] / this.patchSize[0]), Math.floor(imgSize[1] / this.patchSize[1])];
    if (rows > 0 && columns > 0) return [rows, columns];
    throw new ShapeError(
      `No patch of ${this.patchSize.join(' × ')} fits into an image of ${imgSize.join(' × ')} pixels.`,
    );
  }

  /** `[B, H, W, C]` → `[B, numPatches, embedDim]`. @throws ShapeError where the image has another size */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    this.checkImages(x);
    return this.proj.forward(x, context);
  }
}
