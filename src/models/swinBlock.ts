// The block of Swin, Liu et al. 2021 (arXiv:2103.14030): attention within windows that every other block shifts.
import { type Tensor, tf } from '../engine/index.js';
import {
  Dropout,
  DropPath,
  type ForwardContext,
  init,
  LayerNorm,
  Linear,
  Mlp,
  Module,
  mixTokens,
  Parameter,
} from '../nn/index.js';
import { LINEAR_STARTS, type LinearInit } from './linearInit.js';
import type { MapBlock } from './seams.js';
import {
  cropMap,
  cyclicShift,
  mergeShifted,
  mergeWindows,
  type Pair,
  padToMultiple,
  partitionWindows,
  relativePositionBias,
  shiftedWindows,
  shiftMask,
} from './swinWindows.js';

export interface SwinBlockOptions {
  dim: number;
  numHeads: number;
  window: Pair;
  /** [0, 0] or, in every other block, half the window. */
  shift: Pair;
  /** No shift along an axis whose padded map is a single window. */
  unshiftSingleWindow: boolean;
  /** Pads the map to whole windows before it is shifted, not after. */
  padBeforeShift: boolean;
  /** What is added to scores between regions of a shifted window. */
  maskValue: number;
  mlpRatio: number;
  qkvBias: boolean;
  normEps: number;
  projDrop: number;
  attnDrop: number;
  dropPath: number;
  linearInit: LinearInit;
}

/** Multi-head self-attention in windows with a learnt bias for every relative position. */
export class WindowAttention extends Module {
  readonly relativePositionBiasTable: Parameter;
  qkv: Module;
  attnDrop: Dropout;
  proj: Module;
  projDrop: Dropout;
  readonly numHeads: number;
  readonly window: Pair;
  private readonly scale: number;

  constructor({ dim, numHeads, window, qkvBias, attnDrop, projDrop, linearInit }: SwinBlockOptions) {
    super();
    const { qkvInit, ...starts } = LINEAR_STARTS[linearInit];
    this.numHeads = numHeads;
    this.window = window;
    this.scale = (dim / numHeads) ** -0.5;
    const places = (2 * window[0] - 1) * (2 * window[1] - 1);
    this.relativePositionBiasTable = new Parameter([places, numHeads], init.truncatedNormal(0.02));
    this.qkv = new Linear(dim, 3 * dim, { ...starts, bias: qkvBias, weightInit: qkvInit });
    this.attnDrop = new Dropout(attnDrop);
    this.proj = new Linear(dim, dim, starts);
    this.projDrop = new Dropout(projDrop);
  }

  /**
   * Windows `[B · W, N, C]` → the same shape. Taps `attn`: `[B · W, heads, N, N]`. Tokens before those of a window's
   * places have neither bias nor mask.
   */
  override forward(windows: Tensor, context?: ForwardContext, mask?: Tensor): Tensor {
    const { numHeads, scale, attnDrop, window } = this;
    const extra = windows.shape[1]! - window[0] * window[1];
    const bias = padStart(relativePositionBias(this.relativePositionBiasTable.value, window), extra);
    const settings = { numHeads, scale, attnDrop, bias, mask: mask && padStart(mask, extra) };
    const mixed = mixTokens(this.qkv.forward(windows, context), settings, context);
    return this.projDrop.forward(this.proj.forward(mixed, context), context);
  }
}

/** x + attention(norm1(x)) in windows, then x + mlp(norm2(x)); maps `[B, H, W, C]`. */
export class SwinBlock extends Module implements MapBlock {
  readonly dim: number;
  norm1: Module;
  attn: WindowAttention;
  dropPath1: Module;
  norm2: Module;
  mlp: Module;
  dropPath2: Module;

  constructor(readonly options: SwinBlockOptions) {
    super();
    const { dim, mlpRatio, normEps, projDrop, dropPath, linearInit } = options;
    this.dim = dim;
    this.norm1 = new LayerNorm(dim, normEps);
    this.attn = new WindowAttention(options);
    this.dropPath1 = new DropPath(dropPath);
    this.norm2 = new LayerNorm(dim, normEps);
    this.mlp = new Mlp(dim, Math.floor(dim * mlpRatio), { drop: projDrop, ...LINEAR_STARTS[linearInit] });
    this.dropPath2 = new DropPath(dropPath);
  }

  /** `[B, H, W, C]` → the same shape. */
  override forward(map: Tensor, context?: ForwardContext): Tensor {
    return this.feedForward(this.attend(map, context), context);
  }

  attend(map: Tensor, context?: ForwardContext): Tensor {
    const branch = this.attendWindows(this.norm1.forward(map, context), undefined, context).map;
    return tf.add(map, this.dropPath1.forward(branch, context));
  }

  attendWith(map: Tensor, extra: Tensor, context?: ForwardContext): { map: Tensor; extra: Tensor } {
    const tokens = joinTokens({ map, extra });
    const normed = splitTokens(this.norm1.forward(tokens, context), map.shape);
    const branch = joinTokens(this.attendWindows(normed.map, normed.extra, context));
    return splitTokens(tf.add(tokens, this.dropPath1.forward(branch, context)), map.shape);
  }

  mlpBranch(map: Tensor, context?: ForwardContext): Tensor {
    return this.dropPath2.forward(this.mlp.forward(this.norm2.forward(map, context), context), context);
  }

  feedForward(map: Tensor, context?: ForwardContext): Tensor {
    return tf.add(map, this.mlpBranch(map, context));
  }

  private attendWindows<E extends Tensor | undefined>(map: Tensor, extra: E, context?: ForwardContext) {
    const { window, padBeforeShift } = this.options;
    const size: Pair = [map.shape[1]!, map.shape[2]!];
    const padded: Pair = [padTo(size[0], window[0]), padTo(size[1], window[1])];
    const shift = this.shiftFor(padded);
    const back: Pair = [-shift[0], -shift[1]];
    // shift and windows are one step where nothing is padded between them
    const together = padBeforeShift || (padded[0] === size[0] && padded[1] === size[1]);
    const windows = together
      ? shiftedWindows(padToMultiple(map, window), window, shift)
      : partitionWindows(padToMultiple(cyclicShift(map, shift), window), window);
    const mixed = this.mix(extra ? withExtra(windows, extra) : windows, padded, shift, context);
    const count = extra?.shape[1] ?? 0;
    const [first, own] = extra ? tf.split(mixed, [count, mixed.shape[1]! - count], 1) : [undefined, mixed];
    return {
      map: together
        ? cropMap(mergeShifted(own!, window, padded, shift), size)
        : cyclicShift(cropMap(mergeWindows(own!, window, padded), size), back),
      extra: (extra && meanOfExtra(first!, extra)) as E,
    };
  }

  private mix(windows: Tensor, padded: Pair, shift: Pair, context?: ForwardContext): Tensor {
    const { window, maskValue } = this.options;
    const shifted = shift[0] > 0 || shift[1] > 0;
    return this.attn.forward(windows, context, shifted ? shiftMask(padded, window, shift, maskValue) : undefined);
  }

  private shiftFor(padded: Pair): Pair {
    const { window, shift, unshiftSingleWindow } = this.options;
    const along = (axis: 0 | 1): number => (unshiftSingleWindow && window[axis] >= padded[axis] ? 0 : shift[axis]);
    return [along(0), along(1)];
  }
}

/** Zeros before the entries of the last two axes of a rank-3 tensor. */
const padStart = (x: Tensor, count: number): Tensor =>
  count === 0
    ? x
    : tf.pad(x, [
        [0, 0],
        [count, 0],
        [count, 0],
      ]);

/** Windows `[B · W, N, C]`, image by image, and tokens `[B, P, C]` → `[B · W, P + N, C]`. */
function withExtra(windows: Tensor, extra: Tensor): Tensor {
  const [batch, count, channels] = extra.shape as [number, number, number];
  const perImage = windows.shape[0]! / batch;
  const repeated = tf.add(tf.expandDims(extra, 1), tf.zeros([1, perImage, 1, 1]));
  return tf.concat([tf.reshape(repeated, [-1, count, channels]), windows], 1);
}

/** The first tokens of each window, `[B · W, P, C]`, averaged over the windows of an image: as `extra`, `[B, P, C]`. */
function meanOfExtra(first: Tensor, extra: Tensor): Tensor {
  const [batch, count, channels] = extra.shape as [number, number, number];
  return tf.mean(tf.reshape(first, [batch, -1, count, channels]), 1);
}

/** Tokens beside a map and its places row by row: `[B, P + H · W, C]`. */
function joinTokens({ map, extra }: { map: Tensor; extra: Tensor }): Tensor {
  const [batch, , , channels] = map.shape as [number, number, number, number];
  return tf.concat([extra, tf.reshape(map, [batch, -1, channels])], 1);
}

/** The inverse of `joinTokens` for a map of this shape. */
function splitTokens(tokens: Tensor, shape: readonly number[]): { map: Tensor; extra: Tensor } {
  const count = tokens.shape[1]! - shape[1]! * shape[2]!;
  const [extra, map] = tf.split(tokens, [count, tokens.shape[1]! - count], 1);
  return { map: tf.reshape(map!, [...shape]), extra: extra! };
}

const padTo = (size: number, window: number): number => Math.ceil(size / window) * window;
