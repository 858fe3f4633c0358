// What a model shows to those who change it: the parts that every architecture has, by role and not by model. A model's
// classifier is its child `head`; its blocks satisfy `TransformerBlock`. What a module can do tells what it is.
import type { TimmResampleOptions } from '../checkpoint/index.js';
import type { Tensor } from '../engine/index.js';
import { UsageError } from '../errors.js';
import type { ForwardContext, Module, PatchEmbedding, Size } from '../nn/index.js';

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

/** A transformer block on maps `[B, H, W, C]` that attends to a part of the map at a time. */
export interface MapBlock extends TransformerBlock {
  /**
   * As `attend` with tokens beside the map, `[B, P, C]`: every part of the map attends to them too, and each of them gets
   * the mean of what it sees in the parts.
   */
  attendWith(map: Tensor, extra: Tensor, context?: ForwardContext): { map: Tensor; extra: Tensor };
}

/** What makes a map smaller and wider between stages. */
export interface MapMerging extends Module {
  /** Brings tokens beside the map to its new width: `[B, P, C]` → `[B, P, C']`. */
  mergeExtra(extra: Tensor, context?: ForwardContext): Tensor;
}

/** A model whose blocks work on sequences: prefix tokens, such as the class token, then patch tokens row by row. */
export interface SequenceModel extends Module {
  readonly patchEmbed: PatchEmbedding;
  /** Tokens before the patch tokens. Who inserts tokens there raises it. */
  numPrefixTokens: number;
  /** Gets the embedded tokens on their way to the first block. */
  posDrop: Module;
}

/** A model that cuts images into patches of one size. */
export interface PatchModel extends Module {
  readonly config: { readonly patchSize: Size };
}

/** How a position embedding comes to another grid; default bicubic with antialias. */
export type PositionResampling = Pick<TimmResampleOptions, 'interpolation' | 'antialias'>;

/** A model that can be brought to another image size. */
export interface ResizableModel extends Module {
  /** Takes images of another size from now on; see `setInputSize`. */
  setInputSize(imgSize: Size, resample?: PositionResampling): void;
}

const can = (module: Module, ...methods: string[]): boolean =>
  methods.every((method) => typeof (module as unknown as Record<string, unknown>)[method] === 'function');

export const isTransformerBlock = (module: Module): module is TransformerBlock =>
  can(module, 'attend', 'mlpBranch', 'feedForward');

export const isMapBlock = (module: Module): module is MapBlock =>
  isTransformerBlock(module) && can(module, 'attendWith');

export const isMapMerging = (module: Module): module is MapMerging => can(module, 'mergeExtra');

export const isSequenceModel = (module: Module): module is SequenceModel =>
  typeof (module as unknown as Partial<SequenceModel>).numPrefixTokens === 'number';

export const isPatchModel = (module: Module): module is PatchModel =>
  (module as unknown as Partial<PatchModel>).config?.patchSize !== undefined;

/**
 * Brings a built model, tuned or not, to another image size, in place: a learned position embedding is resampled, a
 * computed one computed anew, no other parameter changes. Optimisers and programs are made after it.
 * @throws UsageError for a model that cannot change its image size; ShapeError where no patch fits
 */
export function setInputSize(model: Module, imgSize: Size, resample: PositionResampling = {}): void {
  if (!can(model, 'setInputSize')) {
    throw new UsageError(
      `A ${model.constructor.name} does not change its image size: build one with { imgSize } and load the weights into it.`,
    );
  }
  (model as ResizableModel).setInputSize(imgSize, resample);
}
