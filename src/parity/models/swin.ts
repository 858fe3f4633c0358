// Runners of Swin's cases.
import { z } from 'zod';
import {
  relativePositionIndex,
  SWIN_ORIGINAL,
  SWIN_TORCHVISION,
  type SwinConfig,
  SwinTransformer,
  shiftMask,
} from '../../models/index.js';
import { pair, type Size } from '../../nn/index.js';
import type { CaseRunner, ParityCase } from '../case.js';
import type { Checker } from '../check.js';
import { checkTensor, runClassifier } from '../modelRun.js';
import { namedAsTimm, size } from './shared.js';

const common = {
  mlp_ratio: z.number().default(4),
  norm_eps: z.number().default(1e-5),
  qkv_bias: z.boolean().default(true),
};

/** timm's and torchvision's names. */
const librarySchema = z.looseObject({
  ...common,
  img_size: size.optional(),
  patch_size: size,
  num_classes: z.number(),
  embed_dim: z.number(),
  depths: z.array(z.number()),
  num_heads: z.array(z.number()),
  window_size: size,
});

const originalSchema = z.looseObject({
  ...common,
  patch: size,
  classes: z.number(),
  dim: z.number(),
  depths: z.array(z.number()),
  heads: z.array(z.number()),
  window: size,
  mask_value: z.number().default(-100),
});

const commonConfig = (config: { mlp_ratio: number; norm_eps: number; qkv_bias: boolean }) => ({
  mlpRatio: config.mlp_ratio,
  normEps: config.norm_eps,
  qkvBias: config.qkv_bias,
});

const libraryConfig = (config: z.output<typeof librarySchema>): Partial<SwinConfig> => ({
  ...commonConfig(config),
  patchSize: config.patch_size,
  numClasses: config.num_classes,
  embedDim: config.embed_dim,
  depths: config.depths,
  numHeads: config.num_heads,
  windowSize: config.window_size,
});

/** The configuration of the original's cases. */
export const originalSwinConfig = (parityCase: ParityCase): Partial<SwinConfig> => {
  const config = parityCase.config(originalSchema);
  return {
    ...commonConfig(config),
    ...SWIN_ORIGINAL,
    patchSize: config.patch,
    numClasses: config.classes,
    embedDim: config.dim,
    depths: config.depths,
    numHeads: config.heads,
    windowSize: config.window,
    maskValue: config.mask_value,
  };
};

const timm: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(librarySchema);
  return runClassifier(parityCase, check, new SwinTransformer({ ...libraryConfig(config), imgSize: config.img_size! }));
};

const torchvision: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(librarySchema);
  return runRenamed(parityCase, check, { ...libraryConfig(config), ...SWIN_TORCHVISION });
};

const original: CaseRunner = (parityCase, check) => runRenamed(parityCase, check, originalSwinConfig(parityCase));

function runRenamed(parityCase: ParityCase, check: Checker, config: Partial<SwinConfig>): Promise<void> {
  const names = namedAsTimm(parityCase);
  for (const name of names.computed) checkIndex(parityCase, check, name, config.windowSize!);
  return runClassifier(parityCase, check, new SwinTransformer(config), names);
}

/** The index tables in a file are what the model computes. */
function checkIndex(parityCase: ParityCase, check: Checker, name: string, window: Size): void {
  const table = parityCase.tensors('weights')[name]!;
  if (name.endsWith('relative_position_index')) {
    check.equal(name, [...table.data].map(Number), [...relativePositionIndex(pair(window))]);
  }
}

const tablesSchema = z.looseObject({
  items: z.array(z.looseObject({ key: z.string(), hp: z.number(), wp: z.number(), window: size, shift: size })),
});

const tables: CaseRunner = async (parityCase, check) => {
  const expected = parityCase.tensors('expected');
  for (const { key, hp, wp, window, shift } of parityCase.config(tablesSchema).items) {
    await checkTensor(check, `mask.${key}`, shiftMask([hp, wp], pair(window), pair(shift), -100));
    const [h, w] = pair(window);
    for (const name of new Set([`index.${key}`, `index.${h}`, `index.${h}x${w}`])) {
      if (name in expected) check.close(name, relativePositionIndex([h, w]), [h * w, h * w]);
    }
  }
};

export const swinKinds: Record<string, CaseRunner> = {
  'swin-timm': timm,
  'swin-torchvision': torchvision,
  'swin-original': original,
  'swin-tables': tables,
};
