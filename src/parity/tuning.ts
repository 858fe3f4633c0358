// Runners of the fixture kinds that tune a model.
import { z } from 'zod';
import { VisionTransformer } from '../models/index.js';
import { applyTuning } from '../tuning/index.js';
import type { CaseRunner } from './case.js';
import { runClassifier } from './modelRun.js';

const adaptFormerSchema = z.looseObject({
  img: z.number(),
  patch: z.number(),
  dim: z.number(),
  depth: z.number(),
  heads: z.number(),
  mlp_ratio: z.number().default(4),
  bottleneck: z.number(),
  classes: z.number(),
  qkv_bias: z.boolean().default(false),
  norm_eps: z.number().default(1e-5),
});

/** The write-up's AdaptFormer on the ViT of a case's configuration. */
export function adaptFormerOf(config: z.output<typeof adaptFormerSchema>): VisionTransformer {
  const model = new VisionTransformer({
    imgSize: config.img,
    patchSize: config.patch,
    embedDim: config.dim,
    depth: config.depth,
    numHeads: config.heads,
    numClasses: config.classes,
    mlpRatio: config.mlp_ratio,
    qkvBias: config.qkv_bias,
    normEps: config.norm_eps,
  });
  applyTuning(model, 'adaptformer', { bottleneck: config.bottleneck, dropout: 0 });
  return model;
}

const adaptFormer: CaseRunner = (parityCase, check) =>
  runClassifier(parityCase, check, adaptFormerOf(parityCase.config(adaptFormerSchema)));

export const tuningKinds: Record<string, CaseRunner> = {
  'adaptformer-seed': adaptFormer,
};
