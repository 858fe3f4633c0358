// Runners of the train-* cases: training runs of a few steps, loss by loss and weight by weight, eagerly and, where the
// engine can, replayed as a graph.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { isTensorflow, Program, type Step, type Tensor, tf } from '../engine/index.js';
import { MocoViT } from '../models/index.js';
import { Dropout, DropPath, Identity, type Module } from '../nn/index.js';
import { Moco, mocoStep } from '../pretrain/index.js';
import { createOptimizer, type Optimizer, trainStep } from '../train/index.js';
import { replaceModules } from '../tuning/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import type { Checker } from './check.js';
import { checkTensor, toImages, toLabels, toStateDict } from './modelRun.js';
import { optimizerConfig, optimizerFields } from './optimizerConfig.js';
import { adaptFormerOf, swinMonaOf, vptName, vptOf } from './tuning.js';

const runFields = {
  optimizer: optimizerFields,
  lr_per_step: z.array(z.number()),
  steps: z.number(),
  batches: z.number(),
};

const MODES = ['eager', 'replay'] as const;
type Mode = (typeof MODES)[number];

/** What one run needs. */
interface Run {
  model: Module;
  step: (optimizer: Optimizer) => Step;
  /** The inputs of the step beside learning rate and number, from the index of its batch. */
  inputs: (batch: number, step: number) => Record<string, Tensor>;
  /** The case's names by the model's own; default: the same. */
  rename?: (name: string) => string;
  /** Is called after the last step. */
  finish?: () => Promise<void>;
}

/**
 * Trains the case's parameters for its steps, and checks all losses, everything expected at the end, and that what is
 * frozen is bit for bit what it was. `make` starts over for each mode.
 */
async function runTraining(parityCase: ParityCase, check: Checker, make: (mode: Mode) => Run): Promise<void> {
  const { optimizer: fields, lr_per_step: rates, steps, batches } = parityCase.config(z.looseObject(runFields));
  for (const mode of isTensorflow() ? MODES : MODES.slice(0, 1)) {
    const { model, step, inputs, rename = (name) => name, finish } = make(mode);
    const names = [...model.namedParameters(), ...model.namedBuffers()].map(([name]) => name);
    const weights = toStateDict(parityCase.tensors('weights'));
    model.loadStateDict(Object.fromEntries(names.map((name) => [name, weights[rename(name)]!])));
    const before = await valuesOf(model);
    model.setTrainable((name) => parityCase.spec.trainable.includes(rename(name)));
    const optimizer = createOptimizer(optimizerConfig(fields), model.trainableParameters());
    const program = new Program({ mode }).define('train', step(optimizer));
    const losses: number[] = [];
    for (let i = 0; i < steps; i++) {
      const loss = tf.tidy(() => {
        const given = { ...inputs(i % batches, i + 1), learningRate: rates[i]!, step: i + 1 };
        return program.run('train', given)['loss']!;
      });
      losses.push((await loss.data())[0]!);
    }
    program.dispose();
    check.close('loss', losses);
    const expected = parityCase.tensors('expected');
    const changed: string[] = [];
    for (const [name, value] of Object.entries(model.stateDict())) {
      if (`final.${rename(name)}` in expected) await checkTensor(check, `final.${rename(name)}`, value);
      else if (!isDeepStrictEqual(await value.data(), before.get(name))) changed.push(name);
    }
    check.equal('frozen weights that changed', changed, []);
    await finish?.();
    optimizer.dispose();
    model.dispose();
  }
}

async function valuesOf(model: Module) {
  const values = Object.entries(model.stateDict()).map(
    async ([name, value]) => [name, (await value.data()).slice()] as const,
  );
  return new Map(await Promise.all(values));
}

/** One entry of a tensor `[batches, …]` of the inputs. */
function batchOf(parityCase: ParityCase, name: string, batch: number) {
  const { shape, data, dtype } = parityCase.tensors('inputs')[name]!;
  const size = data.length / shape[0]!;
  return { dtype, shape: shape.slice(1), data: data.slice(batch * size, (batch + 1) * size) };
}

/** The run of a classifier by cross entropy, without dropout of any kind. */
function classifierRun(parityCase: ParityCase, model: Module, rename?: Run['rename']): Run {
  replaceModules(model, (layer) =>
    layer instanceof Dropout || layer instanceof DropPath ? new Identity() : undefined,
  );
  return {
    model,
    step: (optimizer) => trainStep(model, optimizer),
    inputs: (batch, step) => ({
      images: toImages(batchOf(parityCase, 'images', batch)),
      labels: toLabels(batchOf(parityCase, 'labels', batch)),
      key: tf.tensor1d([0, step], 'int32'),
    }),
    ...(rename && { rename }),
  };
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
  stop_grad_conv1: z.boolean(),
});

const trainMoco: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(mocoSchema);
  const { img, patch, dim, depth, heads, mlp_ratio: mlpRatio } = config.vit;
  const { out_dim: outDim, mlp_dim: mlpDim, temperature, stop_grad_conv1: stopGradConv1 } = config;
  const shape = { imgSize: img, patchSize: patch, embedDim: dim, depth, numHeads: heads, mlpRatio, stopGradConv1 };
  return runTraining(parityCase, check, (mode) => {
    const model = new Moco(() => new MocoViT(shape), { outDim, mlpDim, temperature });
    const first = new Map<string, Tensor>();
    const tap = (name: string, value: Tensor): void => {
      if (/^[qk][12]$/.test(name) && !first.has(name)) first.set(name, tf.keep(value.clone()));
    };
    return {
      model,
      step: (optimizer) => mocoStep(model, optimizer, mode === 'eager' ? { tap } : {}),
      inputs: (batch, step) => ({
        view1: toImages(batchOf(parityCase, 'view1', batch)),
        view2: toImages(batchOf(parityCase, 'view2', batch)),
        rate: tf.scalar(1 - config.encoder_momentum_per_step[step - 1]!),
      }),
      finish: async () => {
        for (const [name, value] of first) await checkTensor(check, `first.${name}`, value);
        tf.dispose([...first.values()]);
      },
    };
  });
};

const trainAdaptFormer: CaseRunner = (parityCase, check) =>
  runTraining(parityCase, check, () => classifierRun(parityCase, adaptFormerOf(parityCase)));

const trainVpt: CaseRunner = (parityCase, check) =>
  runTraining(parityCase, check, () => classifierRun(parityCase, vptOf(parityCase), vptName));

const trainSwinMona: CaseRunner = (parityCase, check) =>
  runTraining(parityCase, check, () => {
    const { model, rename } = swinMonaOf(parityCase);
    return classifierRun(parityCase, model, rename);
  });

export const trajectoryKinds: Record<string, CaseRunner> = {
  'train-adaptformer-seed': trainAdaptFormer,
  'train-moco': trainMoco,
  'train-swin-mona': trainSwinMona,
  'train-vpt': trainVpt,
};
