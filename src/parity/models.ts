// Runners of the fixture kinds of the models group.
import { z } from 'zod';
import { VisionTransformer, type ViTConfig } from '../models/index.js';
import type { CaseRunner } from './case.js';
import { runClassifier } from './modelRun.js';
import { mocoKinds } from './models/moco.js';
import { namedAsTimm, ratioFor, size } from './models/shared.js';
import { swinKinds } from './models/swin.js';

/** The configuration of a ViT in timm's names. */
export const vitSchema = z.looseObject({
  img_size: size,
  patch_size: size,
  embed_dim: z.number(),
  depth: z.number(),
  num_heads: z.number(),
  num_classes: z.number(),
  mlp_ratio: z.number().default(4),
  qkv_bias: z.boolean().default(true),
  norm_eps: z.number().default(1e-6),
  global_pool: z.enum(['token', 'avg']).default('token'),
  class_token: z.boolean().default(true),
  init_values: z.number().optional(),
});

export const vitConfig = (config: z.output<typeof vitSchema>): Partial<ViTConfig> => ({
  imgSize: config.img_size,
  patchSize: config.patch_size,
  embedDim: config.embed_dim,
  depth: config.depth,
  numHeads: config.num_heads,
  numClasses: config.num_classes,
  mlpRatio: config.mlp_ratio,
  qkvBias: config.qkv_bias,
  normEps: config.norm_eps,
  globalPool: config.global_pool,
  classToken: config.class_token,
  initValues: config.init_values,
});

const timmViT: CaseRunner = (parityCase, check) =>
  runClassifier(parityCase, check, new VisionTransformer(vitConfig(parityCase.config(vitSchema))));

const torchvisionSchema = z.looseObject({
  image_size: size,
  patch_size: size,
  num_layers: z.number(),
  num_heads: z.number(),
  hidden_dim: z.number(),
  mlp_dim: z.number(),
  num_classes: z.number(),
  norm_eps: z.number().default(1e-6),
  representation_size: z.number().optional(),
});

const torchvisionViT: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(torchvisionSchema);
  const model = new VisionTransformer({
    imgSize: config.image_size,
    patchSize: config.patch_size,
    embedDim: config.hidden_dim,
    depth: config.num_layers,
    numHeads: config.num_heads,
    numClasses: config.num_classes,
    mlpRatio: ratioFor(config.mlp_dim, config.hidden_dim),
    normEps: config.norm_eps,
    representationSize: config.representation_size,
  });
  return runClassifier(parityCase, check, model, namedAsTimm(parityCase));
};

export const modelKinds: Record<string, CaseRunner> = {
  ...swinKinds,
  ...mocoKinds,
  'vit-torchvision': torchvisionViT,
  'vit-timm': timmViT,
};
