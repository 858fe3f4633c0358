// Optimisers by name, with the configuration that each takes.
import { z } from 'zod';
import { parseNamed } from '../namedConfig.js';
import { Adam, AdamW } from './adam.js';
import { Lars } from './lars.js';
import type { Groups, Optimizer } from './optimizer.js';
import { Sgd } from './sgd.js';

const share = z.number().min(0).lt(1);
const amount = z.number().min(0);

const adam = {
  betas: z.tuple([z.number().gt(0).lt(1), z.number().gt(0).lt(1)]).default([0.9, 0.999]),
  epsilon: z.number().gt(0).default(1e-8),
};

export const optimizerSchemas = {
  sgd: z
    .strictObject({
      name: z.literal('sgd'),
      momentum: share.default(0),
      dampening: z.number().min(0).max(1).default(0),
      nesterov: z.boolean().default(false),
      weightDecay: amount.default(0),
    })
    .refine(({ nesterov, momentum, dampening }) => !nesterov || (momentum > 0 && dampening === 0), {
      message: 'nesterov needs a momentum and no dampening',
      path: ['nesterov'],
    }),
  /** Paddle's Momentum. */
  momentum: z.strictObject({
    name: z.literal('momentum'),
    momentum: share.default(0.9),
    useNesterov: z.boolean().default(false),
    weightDecay: amount.default(0),
  }),
  adam: z.strictObject({ name: z.literal('adam'), ...adam, weightDecay: amount.default(0) }),
  adamw: z.strictObject({ name: z.literal('adamw'), ...adam, weightDecay: amount.default(0.01) }),
  lars: z.strictObject({
    name: z.literal('lars'),
    momentum: share.default(0.9),
    weightDecay: amount.default(0),
    trustCoefficient: z.number().gt(0).default(0.001),
  }),
} as const;

export type OptimizerName = keyof typeof optimizerSchemas;
/** What `createOptimizer` takes. */
export type OptimizerConfig = z.input<(typeof optimizerSchemas)[OptimizerName]>;

/** The configuration with all defaults filled in. @throws UsageError where it is not valid */
export const parseOptimizer = (config: OptimizerConfig): z.output<(typeof optimizerSchemas)[OptimizerName]> =>
  parseNamed('optimiser', optimizerSchemas, config);

/**
 * The optimiser that `config` names, for the trainable parameters of `groups`.
 * @throws UsageError where the configuration is not valid or nothing is trainable
 */
export function createOptimizer(config: OptimizerConfig, groups: Groups): Optimizer {
  const checked = parseOptimizer(config);
  switch (checked.name) {
    case 'sgd':
      return new Sgd(groups, checked);
    case 'momentum':
      return new Sgd(groups, { ...checked, nesterov: checked.useNesterov });
    case 'adam':
      return new Adam(groups, checked);
    case 'adamw':
      return new AdamW(groups, checked);
    case 'lars':
      return new Lars(groups, checked);
  }
}
