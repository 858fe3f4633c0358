// The configuration of Swin, and what timm, torchvision and the original set where they differ.
import type { Size } from '../nn/index.js';
import type { LinearInit } from './linearInit.js';

export interface SwinConfig {
  /** Height and width in pixels. Undefined takes images of any size, but not with `smallMap: 'shrink'`. */
  imgSize: Size | undefined;
  patchSize: Size;
  inChans: number;
  /** 0 leaves the head out: the model gives features. */
  numClasses: number;
  /** Channels of the first stage; each stage has twice as many as the one before. */
  embedDim: number;
  /** Blocks of each stage. */
  depths: readonly number[];
  /** Heads of each stage. */
  numHeads: readonly number[];
  windowSize: Size;
  mlpRatio: number;
  qkvBias: boolean;
  normEps: number;
  linearInit: LinearInit;
  dropRate: number;
  projDropRate: number;
  attnDropRate: number;
  /** Stochastic depth at the last block; it grows linearly from 0 at the first. */
  dropPathRate: number;
  /**
   * What happens along an axis whose map is no larger than a window. `shrink`: the window becomes the map and is not
   * shifted (timm). `unshift`: the map is padded to the window and not shifted (torchvision). `keep`: it is padded and
   * shifted like any other (the original's form for images of any size).
   */
  smallMap: 'shrink' | 'unshift' | 'keep';
  /** Maps are padded to whole windows before the shift (torchvision, the original), or after it (timm). */
  padBeforeShift: boolean;
  /** What is left of an image beyond whole patches is padded with zeros to a patch (the original), or cut. */
  padImage: boolean;
  /** What is added to scores between regions of a shifted window. */
  maskValue: number;
  /** A norm for the output of every stage, `norm0` and on, in place of `norm` (the original as a detector's backbone). */
  stageNorms: boolean;
}

/** timm's defaults, which are Swin-T. */
export const SWIN_DEFAULTS: SwinConfig = {
  imgSize: 224,
  patchSize: 4,
  inChans: 3,
  numClasses: 1000,
  embedDim: 96,
  depths: [2, 2, 6, 2],
  numHeads: [3, 6, 12, 24],
  windowSize: 7,
  mlpRatio: 4,
  qkvBias: true,
  normEps: 1e-5,
  linearInit: 'truncatedNormal',
  dropRate: 0,
  projDropRate: 0,
  attnDropRate: 0,
  dropPathRate: 0.1,
  smallMap: 'shrink',
  padBeforeShift: false,
  padImage: false,
  maskValue: -100,
  stageNorms: false,
};

/** How torchvision's Swin behaves. */
export const SWIN_TORCHVISION = {
  imgSize: undefined,
  smallMap: 'unshift',
  padBeforeShift: true,
  padImage: false,
} as const satisfies Partial<SwinConfig>;

/** How the original behaves in its form for images of any size. */
export const SWIN_ORIGINAL = {
  imgSize: undefined,
  smallMap: 'keep',
  padBeforeShift: true,
  padImage: true,
} as const satisfies Partial<SwinConfig>;
