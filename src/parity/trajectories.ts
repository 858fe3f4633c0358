// Runners of the train-* cases: whole training runs of a few steps, loss by loss and weight by weight.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { toFloat32 } from '../checkpoint/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { VisionTransformer } from '../models/index.js';
import type { Module } from '../nn/index.js';
import { Moco, mocoStep } from '../pretrain/index.js';
import { createOptimizer } from '../train/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import type { Checker } from './check.js';
import { checkTensor, toImages, toStateDict } from './modelRun.js';
import { optimizerConfig, optimizerFields } from './optimizerConfig.js';

const runFields = {
  optimizer: optimizerFields,
  lr_per_step: z.array(z.number()),
  steps: z.number(),
  batches: z.number(),
};

/** The images of one batch out of `[batches, B, C, H, W]`, NHWC. */
function batchOf(parityCase: ParityCase, name: string, batch: number): Tensor {
  const { shape, data, dtype } = parityCase.tensors('inputs')[name]!;
  const size = data.length / shape[0]!;
  return toImages({ dtype, shape: shape.slice(1), data: data.slice(batch * size, (batch + 1) * size) });
}

const mocoSchema = z.looseObject({
  ...runFields,
  vit: z.looseObject({
    img: z.number(),
    patch: z.number(),
    dim: z.number(),
    depth: z.number(),
    heads: z.number(),
    mlp_ratio: z.number(),
  }),
  out_dim: z.number(),
  mlp_dim: z.number(),
  temperature: z.number(),
  encoder_momentum_per_step: z.array(z.number()),
});

const trainMoco: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(mocoSchema);
  const { img, patch, dim, depth, heads, mlp_ratio } = config.vit;
  const { out_dim: outDim, mlp_dim: mlpDim, temperature } = config;
  const encoder = () =>
    new VisionTransformer({
      imgSize: img,
      patchSize: patch,
      embedDim: dim,
      depth,
      numHeads: heads,
      mlpRatio: mlp_ratio,
    });
  const model = new Moco(encoder, { outDim, mlpDim, temperature });
  model.loadStateDict(toStateDict(parityCase.tensors('weights')));
  model.setTrainable((name) => parityCase.spec.trainable.includes(name));
  const optimizer = createOptimizer(optimizerConfig(config.optimizer), model.trainableParameters());
  const first = new Map<string, Tensor>();
  const step = mocoStep(model, optimizer, {
    tap: (name, value) => {
      if (/^[qk][12]$/.test(name) && !first.has(name)) first.set(name, tf.keep(value.clone()));
    },
  });
  const losses = Array.from({ length: config.steps }, (_, i) =>
    tf.tidy(
      () =>
        step({
          view1: batchOf(parityCase, 'view1', i % config.batches),
          view2: batchOf(parityCase, 'view2', i % config.batches),
          learningRate: tf.scalar(config.lr_per_step[i]!),
          step: tf.scalar(i + 1),
          rate: tf.scalar(1 - config.encoder_momentum_per_step[i]!),
        })['loss']!.dataSync()[0]!,
    ),
  );
  check.close('loss', losses);
  for (const [name, value] of first) checkTensor(check, `first.${name}`, value);
  const own = (name: string): boolean => !name.startsWith('momentum_encoder.');
  checkFinal(parityCase, check, model, parityCase.spec.frozen.filter(own));
  optimizer.dispose();
  model.dispose();
};

/** Checks what a run left behind: what is expected of it, and that frozen weights are bit for bit what they were. */
function checkFinal(parityCase: ParityCase, check: Checker, model: Module, frozen: readonly string[]): void {
  const expected = parityCase.tensors('expected');
  const weights = parityCase.tensors('weights');
  const final = model.stateDict();
  for (const [name, value] of Object.entries(final)) {
    if (`final.${name}` in expected) checkTensor(check, `final.${name}`, value);
  }
  const changed = frozen.filter((name) => !isDeepStrictEqual(final[name]!.dataSync(), toFloat32(weights[name]!)));
  check.equal('frozen weights that changed', changed, []);
}

export const trajectoryKinds: Record<string, CaseRunner> = {
  'train-moco': trainMoco,
};
