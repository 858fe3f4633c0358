// Mona, Yin et al. 2024 (arXiv:2408.08345): adapters with depthwise convolutions, one behind the attention and one behind
// the MLP of every block. Names of parameters are the authors'.
import { z } from 'zod';
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError } from '../errors.js';
import { isSequenceModel, type SequenceModel, type TransformerBlock } from '../models/index.js';
import {
  Conv2d,
  conv2d,
  Dropout,
  type ForwardContext,
  gelu,
  type Initializer,
  init,
  LayerNorm,
  Linear,
  Module,
  Parameter,
} from '../nn/index.js';
import { plural } from '../words.js';
import { defineMethod } from './method.js';
import { isHead, replaceBlocks, trainOnly } from './modules.js';

/**
 * The mean of three depthwise convolutions (3 × 3, 5 × 5, 7 × 7) of a map plus the map, and a 1 × 1 convolution of that
 * added to it.
 *
 * All of the first step is linear, so it is one 7 × 7 convolution whose kernel is the mean of the three, the smaller
 * ones in its middle, plus 1 in the centre.
 */
export class MonaOp extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;
  projector: Module;

  constructor(readonly channels: number) {
    super();
    const depthwise = (size: number) =>
      new Conv2d(channels, channels, size, { padding: (size - 1) / 2, groups: channels });
    this.conv1 = depthwise(3);
    this.conv2 = depthwise(5);
    this.conv3 = depthwise(7);
    this.projector = new Conv2d(channels, channels, 1);
  }

  /** The one kernel, `[C, 1, 7, 7]`. */
  kernel(): Tensor {
    const kernels = this.convolutions().map((layer) => framed(layer.weight.value, 7));
    return tf.add(tf.div(tf.addN(kernels), 3), framed(tf.ones([1, 1, 1, 1]), 7));
  }

  /** `[B, H, W, C]` → the same shape. */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const bias = tf.div(tf.addN(this.convolutions().map((layer) => layer.bias!.value as Tensor)), 3);
    const mixed = conv2d(x, this.kernel(), { stride: [1, 1], padding: [3, 3], groups: this.channels }, bias);
    return tf.add(mixed, this.projector.forward(mixed, context));
  }

  private convolutions(): Conv2d[] {
    return [this.conv1, this.conv2, this.conv3];
  }
}

/** A kernel `[…, k, k]` in the middle of zeros, `[…, size, size]`. */
function framed(kernel: Tensor, size: number): Tensor {
  const side = (size - kernel.shape[2]!) / 2;
  if (side === 0) return kernel;
  return tf.pad(kernel, [
    [0, 0],
    [0, 0],
    [side, side],
    [side, side],
  ]);
}

/** Where the places of a map are in a sequence of tokens. */
export interface SequenceLayout {
  /** Tokens before those of the map. */
  prefix: number;
  /** Height and width of the map. */
  grid: readonly [number, number];
}

export interface MonaOptions {
  /** Channels of the convolutions. */
  inner?: number;
  dropout?: number;
  /** How projections start; default: PyTorch's, uniform in ±1/√in. */
  projectionInit?: { weightInit: Initializer; biasInit: Initializer };
  /** For tokens in a sequence: asked at every pass. */
  layout?: () => SequenceLayout;
}

/** x + project2(gelu(op(project1(norm(x) · gamma + x · gammax)))). Tokens before the map pass by the convolutions. */
export class Mona extends Module {
  readonly gamma: Parameter;
  readonly gammax: Parameter;
  project1: Module;
  project2: Module;
  dropout: Module;
  adapterConv: Module;
  norm: LayerNorm;
  private readonly layout: (() => SequenceLayout) | undefined;

  constructor(dim: number, { inner = 64, dropout = 0.1, projectionInit, layout }: MonaOptions = {}) {
    super();
    this.gamma = new Parameter([dim], init.constant(1e-6));
    this.gammax = new Parameter([dim], init.ones);
    this.project1 = new Linear(dim, inner, projectionInit);
    this.project2 = new Linear(inner, dim, projectionInit);
    this.dropout = new Dropout(dropout);
    this.adapterConv = new MonaOp(inner);
    this.norm = new LayerNorm(dim);
    this.layout = layout;
  }

  /**
   * A map `[B, H, W, C]`, or tokens `[B, N, C]` where there is a layout, → the same shape.
   * @throws ShapeError where the layout is not that of the tokens, or tokens come without one
   */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const input = this.norm.forward(x, context, { scale: this.gamma.value, skip: this.gammax.value });
    const mixed = gelu(this.convolve(this.project1.forward(input, context), context));
    return tf.add(x, this.project2.forward(this.dropout.forward(mixed, context), context));
  }

  private convolve(x: Tensor, context?: ForwardContext): Tensor {
    if (!this.layout) {
      if (x.rank !== 4) throw new ShapeError(`Mona takes a map [B, H, W, C] or needs a layout, got [${x.shape}].`);
      return this.adapterConv.forward(x, context);
    }
    const { prefix, grid } = this.layout();
    const [batch, count, channels] = x.shape as [number, number, number];
    if (x.rank !== 3 || count !== prefix + grid[0] * grid[1]) {
      const places = `${plural(prefix, 'token')} and a map of ${grid.join(' × ')}`;
      throw new ShapeError(`Mona is laid out for ${places}: [B, ${prefix + grid[0] * grid[1]}, C], got [${x.shape}].`);
    }
    const map = tf.reshape(tf.slice(x, [0, prefix, 0]), [batch, ...grid, channels]);
    const tokens = tf.reshape(this.adapterConv.forward(map, context), [batch, count - prefix, channels]);
    return prefix === 0 ? tokens : tf.concat([tf.slice(x, [0, 0, 0], [batch, prefix, channels]), tokens], 1);
  }
}

/** A block with a Mona behind each of its two sums. */
class MonaBlock extends Module {
  protected override readonly names = { block: '', first: 'my_module_1', second: 'my_module_2' };
  readonly block: TransformerBlock;
  first: Module;
  second: Module;

  constructor(block: TransformerBlock, options: MonaOptions) {
    super();
    this.block = block;
    this.first = new Mona(block.dim, options);
    this.second = new Mona(block.dim, options);
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    const h = this.first.forward(this.block.attend(x, context), context);
    return this.second.forward(this.block.feedForward(h, context), context);
  }
}

/** Inside a backbone projections start as its own linear layers do. */
const projectionInit = { weightInit: init.truncatedNormal(0.02), biasInit: init.zeros };

const layoutOf = (model: SequenceModel) => (): SequenceLayout => ({
  prefix: model.numPrefixTokens,
  grid: model.patchEmbed.gridSize,
});

export const mona = defineMethod({
  name: 'mona',
  description: 'Mona (arXiv:2408.08345): two convolutional adapters a block and the head train.',
  options: z.strictObject({
    /** Channels of the convolutions: the hyper-parameter n. */
    inner: z.int().positive().default(64),
    dropout: z.number().min(0).lt(1).default(0.1),
  }),
  apply(model, options) {
    const layout = isSequenceModel(model) ? { layout: layoutOf(model) } : {};
    replaceBlocks(model, (block) => new MonaBlock(block, { ...options, projectionInit, ...layout }));
    trainOnly(model, (name) => /\.my_module_[12]\./.test(name) || isHead(name));
  },
});
