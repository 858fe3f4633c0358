// Runners of the fixture kinds of the training group.
import { z } from 'zod';
import { type TensorData, toFloat32 } from '../checkpoint/index.js';
import { type Tensor, tf, type Variable, valueAndGradients } from '../engine/index.js';
import { init, Parameter } from '../nn/index.js';
import { contrastiveLoss, mocoLoss } from '../pretrain/index.js';
import {
  type CrossEntropyOptions,
  clipByGlobalNorm,
  correctTopK,
  createOptimizer,
  crossEntropy,
  moveTowards,
  oneHot,
} from '../train/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import { checkTensor, toLabels, toTensor } from './modelRun.js';
import { optimizerConfig, optimizerFields } from './optimizerConfig.js';
import { schedule } from './schedules.js';
import { trajectoryKinds } from './trajectories.js';

/** Tensors of the inputs file whose name starts with `prefix`, by the rest of their name. */
function inputsUnder(parityCase: ParityCase, prefix: string): [string, TensorData][] {
  const inputs = Object.entries(parityCase.tensors('inputs'));
  return inputs.filter(([name]) => name.startsWith(prefix)).map(([name, data]) => [name.slice(prefix.length), data]);
}

function parameterOf(data: TensorData): Parameter {
  const parameter = new Parameter(data.shape, init.values(toFloat32(data)));
  parameter.set(toTensor(data));
  return parameter;
}

const optimizerSchema = z.looseObject({
  optimizer: z.string(),
  hyper: optimizerFields.omit({ kind: true }).extend({ clip_norm: z.number().optional() }),
  lr_per_step: z.array(z.number()),
  steps: z.number(),
});

const optimizer: CaseRunner = async (parityCase, check) => {
  const { optimizer: kind, hyper, lr_per_step: rates, steps } = parityCase.config(optimizerSchema);
  const parameters = new Map(inputsUnder(parityCase, 'init.').map(([name, data]) => [name, parameterOf(data)]));
  const made = createOptimizer(optimizerConfig({ ...hyper, kind }), parameters);
  const inputs = parityCase.tensors('inputs');
  for (let step = 0; step < steps; step++) {
    const norm = tf.tidy(() => {
      let gradients = new Map([...parameters.keys()].map((name) => [name, toTensor(inputs[`grad.${name}.${step}`]!)]));
      const clipped = hyper.clip_norm === undefined ? undefined : clipByGlobalNorm(gradients, hyper.clip_norm);
      gradients = clipped?.gradients ?? gradients;
      made.apply(gradients, { learningRate: tf.scalar(rates[step]!), step: tf.scalar(step + 1) });
      return clipped ? [clipped.norm] : [];
    });
    for (const value of norm) await checkTensor(check, `norm.${step}`, value);
    for (const [name, parameter] of parameters) await checkTensor(check, `${name}.${step}`, parameter.value);
  }
  made.dispose();
  for (const parameter of parameters.values()) parameter.dispose();
};

const ema: CaseRunner = async (parityCase, check) => {
  const { momentum_per_step: momenta } = parityCase.config(z.looseObject({ momentum_per_step: z.array(z.number()) }));
  const base = new Map(inputsUnder(parityCase, 'base.').map(([name, data]) => [name, toTensor(data)]));
  const averages = new Map(
    inputsUnder(parityCase, 'ema.').map(([name, data]): [string, Variable] => [name, tf.variable(toTensor(data))]),
  );
  for (const [step, momentum] of momenta.entries()) {
    tf.tidy(() => {
      const pairs = [...averages].map(([name, average]) => [average, tf.add(base.get(name)!, step)] as const);
      moveTowards(pairs, tf.scalar(1 - momentum));
    });
    for (const [name, average] of averages) await checkTensor(check, `${name}.${step}`, average);
  }
};

const losses: CaseRunner = async (parityCase, check) => {
  const { mixup_lambda: lambda, items } = parityCase.config(
    z.looseObject({ mixup_lambda: z.number(), items: z.record(z.string(), z.string()) }),
  );
  const inputs = parityCase.tensors('inputs');
  const logits = toTensor(inputs['logits']!);
  const labels = toLabels(inputs['labels']!);
  const classWeights = toTensor(inputs['class_weights']!);
  const soft = toTensor(inputs['soft_targets']!);
  const classes = logits.shape[1]!;
  const hard = oneHot(labels, classes);
  const mixed = tf.add(tf.mul(hard, lambda), tf.mul(tf.gather(hard, toLabels(inputs['perm']!)), 1 - lambda));
  const of =
    (targets: Tensor, options?: CrossEntropyOptions) =>
    (x: Tensor): Tensor =>
      crossEntropy(x, targets, options);
  const runs: Record<string, (x: Tensor) => Tensor> = {
    ce: of(labels),
    'ce-sum': of(labels, { reduction: 'sum' }),
    'ce-weighted': of(labels, { classWeights }),
    'ce-weighted-vpt': of(labels, { classWeights, meanOver: 'examples' }),
    'ce-smooth': of(labels, { labelSmoothing: 0.1 }),
    'ce-smooth-timm': of(labels, { labelSmoothing: 0.1 }),
    'ce-smooth-weighted': of(labels, { labelSmoothing: 0.2, classWeights }),
    soft: of(soft),
    mixup: of(mixed),
    'ce-large': (x) => crossEntropy(tf.mul(x, 500), labels),
  };
  check.equal('items', Object.keys(items).sort(), Object.keys(runs).sort());
  for (const [name, loss] of Object.entries(runs)) {
    const { value, gradients } = valueAndGradients(() => loss(logits), [logits]);
    await checkTensor(check, `${name}.loss`, value);
    await checkTensor(check, `${name}.grad`, gradients[0]!, 'grads');
  }
  for (const k of [1, 3, 5]) {
    await checkTensor(check, `top${k}`, tf.mul(correctTopK(logits, labels, k), 100 / logits.shape[0]!));
  }
};

const mocoLosses: CaseRunner = async (parityCase, check) => {
  const { temperature } = parityCase.config(z.looseObject({ temperature: z.number() }));
  const [q1, k1, q2, k2] = ['q1', 'k1', 'q2', 'k2'].map((name) => toTensor(parityCase.tensors('inputs')[name]!)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  await checkTensor(check, 'loss_12', contrastiveLoss(q1, k2, temperature));
  await checkTensor(check, 'loss_21', contrastiveLoss(q2, k1, temperature));
  const { value, gradients } = valueAndGradients(() => mocoLoss(q1, k1, q2, k2, temperature), [q1, q2]);
  await checkTensor(check, 'loss', value);
  await checkTensor(check, 'grad_input.q1', gradients[0]!);
  await checkTensor(check, 'grad_input.q2', gradients[1]!);
};

export const trainingKinds: Record<string, CaseRunner> = {
  ema,
  losses,
  'moco-loss': mocoLosses,
  optimizer,
  schedule,
  ...trajectoryKinds,
};
