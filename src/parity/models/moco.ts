// Runners of the cases of MoCo v3's ViT.
import { z } from 'zod';
import { ConvStem, MocoViT, type MocoViTConfig, sinCosPositions } from '../../models/index.js';
import type { CaseRunner } from '../case.js';
import { meanSquare, runClassifier } from '../modelRun.js';
import { plainConfig, plainSchema, size } from './shared.js';

const schema = plainSchema.extend({
  img: size.default(224),
  patch: size.default(16),
  classes: z.number().default(1000),
  stem: z.enum(['patch', 'conv']).default('patch'),
  mlp_ratio: z.number().default(4),
  norm_eps: z.number().default(1e-6),
  stop_grad_conv1: z.boolean().default(false),
});

const mocoConfig = (config: z.output<typeof schema>): Partial<MocoViTConfig> => ({
  ...plainConfig(config),
  stem: config.stem,
  mlpRatio: config.mlp_ratio,
  normEps: config.norm_eps,
  stopGradConv1: config.stop_grad_conv1,
});

const vit: CaseRunner = (parityCase, check) => {
  const model = new MocoViT(mocoConfig(parityCase.config(schema)));
  const frozen = [...model.namedParameters()].filter(([, { trainable }]) => !trainable).map(([name]) => name);
  check.equal('frozen parameters', frozen.sort(), [...parityCase.spec.frozen].sort());
  return runClassifier(parityCase, check, model, {
    forward: (image, context) => {
      const features = model.forwardFeatures(image, context);
      context.tap?.('features', features);
      return model.classify(features, context);
    },
  });
};

const stemSchema = z.looseObject({
  img: size,
  patch: size.default(16),
  dim: z.number(),
  bn_eps: z.number().default(1e-5),
  bn_momentum: z.number().default(0.1),
});

const stem: CaseRunner = (parityCase, check) => {
  const { img, patch, dim, bn_eps, bn_momentum } = parityCase.config(stemSchema);
  const model = new ConvStem(img, patch, 3, dim, { epsilon: bn_eps, momentum: bn_momentum });
  return runClassifier(parityCase, check, model, { output: 'tokens', loss: meanSquare });
};

const sinCosSchema = z.looseObject({
  items: z.array(z.tuple([z.number(), z.number(), z.number()])),
  temperature: z.number().default(10000),
});

const sinCos: CaseRunner = (parityCase, check) => {
  const { items, temperature } = parityCase.config(sinCosSchema);
  for (const [rows, columns, dim] of items) {
    const table = sinCosPositions([rows, columns], dim, temperature);
    check.close(`table.${rows}x${columns}x${dim}`, table, [1, 1 + rows * columns, dim]);
  }
};

export const mocoKinds: Record<string, CaseRunner> = {
  'moco-vit': vit,
  'moco-convstem': stem,
  'moco-sincos': sinCos,
};
