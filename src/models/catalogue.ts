// The models that are there by name: the published ones of each family and small ones for 32 × 32 images.
import { z } from 'zod';
import { pair } from '../nn/index.js';
import { LINEAR_INITS } from './linearInit.js';
import { MocoViT, type MocoViTConfig } from './mocoVit.js';
import { type ModelFamily, registerModel } from './registry.js';
import { SwinTransformer } from './swin.js';
import { SWIN_ORIGINAL, SWIN_TORCHVISION, type SwinConfig } from './swinConfig.js';
import { VisionTransformer, type ViTConfig } from './vit.js';

const count = z.int().positive();
const share = z.number().min(0).lt(1);
const size = z.union([count, z.tuple([count, count])]);

const common = {
  inChans: count,
  numClasses: z.int().min(0),
  mlpRatio: z.number().positive(),
  qkvBias: z.boolean(),
  normEps: z.number().positive(),
  linearInit: z.enum(LINEAR_INITS),
  dropRate: share,
  projDropRate: share,
  attnDropRate: share,
  dropPathRate: share,
};

const vitShape = {
  ...common,
  imgSize: size,
  patchSize: size,
  embedDim: count,
  depth: count,
  numHeads: count,
  globalPool: z.enum(['token', 'avg']),
  classToken: z.boolean(),
  initValues: z.number().optional(),
  clsTokenStd: z.number().positive(),
  representationSize: count.optional(),
  posDropRate: share,
};

const smallViT = ({ patchSize = 16, numHeads = 12 }: Partial<ViTConfig>): Partial<ViTConfig> => {
  const [height, width] = pair(patchSize);
  return { imgSize: [2 * height, 3 * width], embedDim: 8 * numHeads, depth: 2, numClasses: 5 };
};

const vit: ModelFamily<ViTConfig> = {
  name: 'vit',
  schema: z.strictObject(vitShape).partial() as z.ZodType<Partial<ViTConfig>>,
  build: (config) => new VisionTransformer(config),
  scaledDown: smallViT,
};

const mocoVit: ModelFamily<MocoViTConfig> = {
  name: 'moco-vit',
  schema: z
    .strictObject({ ...vitShape, stem: z.enum(['patch', 'conv']), stopGradConv1: z.boolean() })
    .partial() as z.ZodType<Partial<MocoViTConfig>>,
  build: (config) => new MocoViT(config),
  scaledDown: smallViT,
};

const swin: ModelFamily<SwinConfig> = {
  name: 'swin',
  schema: z
    .strictObject({
      ...common,
      imgSize: size.optional(),
      patchSize: size,
      embedDim: count,
      depths: z.array(count).nonempty(),
      numHeads: z.array(count).nonempty(),
      windowSize: size,
      smallMap: z.enum(['shrink', 'unshift', 'keep']),
      padBeforeShift: z.boolean(),
      padImage: z.boolean(),
      maskValue: z.number(),
      stageNorms: z.boolean(),
    })
    .partial() as z.ZodType<Partial<SwinConfig>>,
  build: (config) => new SwinTransformer(config),
  scaledDown: ({ smallMap = 'shrink' }) => ({
    imgSize: smallMap === 'shrink' ? [36, 44] : undefined,
    embedDim: 16,
    depths: [2, 2],
    numHeads: [2, 4],
    windowSize: 4,
    numClasses: 5,
  }),
};

const DOSOVITSKIY = 'Dosovitskiy et al. 2021 (arXiv:2010.11929), as timm builds it';
const TOUVRON = 'Touvron et al. 2021 (arXiv:2012.12877), as timm builds it';
const TINY = { embedDim: 192, numHeads: 3 };
const SMALL = { embedDim: 384, numHeads: 6 };
const LARGE = { embedDim: 1024, depth: 24, numHeads: 16 };

const VITS: [name: string, defaults: Partial<ViTConfig>, provenance: string, parameters?: number][] = [
  ['vit_tiny_patch16_224', TINY, TOUVRON, 5717416],
  ['vit_small_patch16_224', SMALL, TOUVRON, 22050664],
  ['vit_small_patch32_224', { ...SMALL, patchSize: 32 }, TOUVRON, 22878952],
  ['vit_base_patch16_224', {}, DOSOVITSKIY, 86567656],
  ['vit_base_patch32_224', { patchSize: 32 }, DOSOVITSKIY, 88224232],
  ['vit_base_patch16_384', { imgSize: 384 }, DOSOVITSKIY, 86859496],
  ['vit_base_patch32_384', { imgSize: 384, patchSize: 32 }, DOSOVITSKIY, 88297192],
  ['vit_large_patch16_224', LARGE, DOSOVITSKIY, 304326632],
  ['vit_large_patch32_224', { ...LARGE, patchSize: 32 }, DOSOVITSKIY, 306535400],
  [
    'vit_base_patch3_32',
    { imgSize: 32, patchSize: 3, numClasses: 100, qkvBias: false, normEps: 1e-5, clsTokenStd: 0.02 },
    'ViT-B with patches of 3 pixels for CIFAR, from a PaddlePaddle write-up of AdaptFormer',
    // its 86,394,736 with adapters, less 12 · (64 · 768 + 64 + 768 · 64 + 768 + 1)
    85205092,
  ],
  [
    'vit_mini_patch4_32',
    { imgSize: 32, patchSize: 4, numClasses: 10, embedDim: 192, depth: 6, numHeads: 3, linearInit: 'xavier' },
    'a small ViT for 32 × 32 images',
  ],
  [
    'vit_nano_patch4_32',
    { imgSize: 32, patchSize: 4, numClasses: 10, embedDim: 64, depth: 4, numHeads: 2, linearInit: 'xavier' },
    'a very small ViT for 32 × 32 images',
  ],
];

const CHEN = 'Chen et al. 2021 (arXiv:2104.02057), facebookresearch/moco-v3';
const MOCOS: [name: string, defaults: Partial<MocoViTConfig>, provenance: string, parameters?: number][] = [
  ['moco_vit_small', { embedDim: 384 }, CHEN, 22050664],
  ['moco_vit_base', {}, CHEN, 86567656],
  ['moco_vit_conv_small', { embedDim: 384, depth: 11, stem: 'conv' }, CHEN, 21002392],
  ['moco_vit_conv_base', { depth: 11, stem: 'conv' }, CHEN],
  [
    'moco_vit_nano_patch4_32',
    { imgSize: 32, patchSize: 4, numClasses: 10, embedDim: 64, depth: 4, numHeads: 4 },
    'a very small ViT in the manner of MoCo v3 for 32 × 32 images',
  ],
  [
    'moco_vit_nano_patch8_32',
    { imgSize: 32, patchSize: 8, numClasses: 10, embedDim: 64, depth: 4, numHeads: 4 },
    'the same with a quarter of the patches',
  ],
];

const SIZES = {
  tiny: { embedDim: 96, depths: [2, 2, 6, 2], numHeads: [3, 6, 12, 24] },
  small: { embedDim: 96, depths: [2, 2, 18, 2], numHeads: [3, 6, 12, 24] },
  base: { embedDim: 128, depths: [2, 2, 18, 2], numHeads: [4, 8, 16, 32] },
  large: { embedDim: 192, depths: [2, 2, 18, 2], numHeads: [6, 12, 24, 48] },
} as const;
/** Stochastic depth of the original's and torchvision's training. */
const DROP_PATH = { tiny: 0.2, small: 0.3, base: 0.5, large: 0.2 } as const;
const PARAMETERS = { tiny: 28288354, small: 49606258, base: 87768224, large: 196532476 } as const;
const LIU = 'Liu et al. 2021 (arXiv:2103.14030)';

for (const [name, defaults, provenance, parameters] of VITS) {
  registerModel(name, { family: vit, defaults, provenance, ...(parameters && { parameters }) });
}
for (const [name, defaults, provenance, parameters] of MOCOS) {
  registerModel(name, { family: mocoVit, defaults, provenance, ...(parameters && { parameters }) });
}
for (const key of ['tiny', 'small', 'base', 'large'] as const) {
  const published = { family: swin, parameters: PARAMETERS[key] };
  const defaults = { ...SIZES[key], dropPathRate: DROP_PATH[key] };
  const name = `swin_${key}_patch4_window7`;
  registerModel(`${name}_224`, { ...published, defaults: SIZES[key], provenance: `${LIU}, as timm builds it` });
  registerModel(`${name}_original`, {
    ...published,
    defaults: { ...defaults, ...SWIN_ORIGINAL },
    provenance: `${LIU}, microsoft/Swin-Transformer in its form for images of any size`,
  });
  if (key === 'large') continue;
  registerModel(`${name}_torchvision`, {
    ...published,
    defaults: { ...defaults, ...SWIN_TORCHVISION },
    provenance: `${LIU}, as torchvision builds it`,
  });
}
for (const [key, parameters] of [
  ['base', 87903584],
  ['large', 196735516],
] as const) {
  registerModel(`swin_${key}_patch4_window12_384`, {
    family: swin,
    defaults: { ...SIZES[key], imgSize: 384, windowSize: 12 },
    provenance: `${LIU}, as timm builds it`,
    parameters,
  });
}
const NANO = {
  imgSize: 32,
  numClasses: 10,
  depths: [2, 2],
  windowSize: 4,
  dropPathRate: 0,
  linearInit: 'xavier',
} as const;
registerModel('swin_nano_patch2_window4_32', {
  family: swin,
  defaults: { ...NANO, patchSize: 2, embedDim: 32, numHeads: [2, 4] },
  provenance: 'a very small Swin for 32 × 32 images',
});
registerModel('swin_nano_patch4_window4_32', {
  family: swin,
  defaults: { ...NANO, patchSize: 4, embedDim: 48, numHeads: [3, 6] },
  provenance: 'a very small Swin for 32 × 32 images, wider and with a quarter of the places',
});
