// What runners of model cases share: fields of configurations, and models under other libraries' names.
import { z } from 'zod';
import { convertNames } from '../../checkpoint/index.js';
import type { ParityCase } from '../case.js';

/** One number for both directions, or [vertical, horizontal]. */
export const size = z.union([z.number(), z.tuple([z.number(), z.number()])]);

/** A ViT in the words of the cases of MoCo v3 and of tuning. */
export const plainSchema = z.looseObject({
  img: size,
  patch: size,
  dim: z.number(),
  depth: z.number(),
  heads: z.number(),
  classes: z.number(),
});

/** Its configuration. */
export const plainConfig = (config: z.output<typeof plainSchema>) => ({
  imgSize: config.img,
  patchSize: config.patch,
  embedDim: config.dim,
  depth: config.depth,
  numHeads: config.heads,
  numClasses: config.classes,
});

/** An `mlpRatio` that gives exactly this width: the model rounds down what it multiplies. */
export const ratioFor = (width: number, dim: number): number => (width + 0.5) / dim;

/** How a model with timm's names finds its weights in a case with any known naming. */
export function namedAsTimm(parityCase: ParityCase): { rename: (name: string) => string; computed: string[] } {
  const weights = parityCase.tensors('weights');
  const { tensors, dropped } = convertNames(weights, 'timm');
  const names = new Map(Object.entries(weights).map(([name, data]) => [data, name]));
  return { rename: (name) => names.get(tensors[name]!) ?? name, computed: dropped };
}
