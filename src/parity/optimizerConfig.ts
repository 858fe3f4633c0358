// The optimisers of the fixture cases, in the references' names, as configurations of this project's.
import { z } from 'zod';
import { DataError } from '../errors.js';
import type { OptimizerConfig } from '../train/index.js';

export const optimizerFields = z.looseObject({
  kind: z.string(),
  momentum: z.number().optional(),
  dampening: z.number().optional(),
  nesterov: z.boolean().optional(),
  use_nesterov: z.boolean().optional(),
  weight_decay: z.number().optional(),
  betas: z.tuple([z.number(), z.number()]).optional(),
  eps: z.number().optional(),
  trust_coefficient: z.number().optional(),
});

/** @throws DataError for an optimiser that there is none of */
export function optimizerConfig(fields: z.output<typeof optimizerFields>): OptimizerConfig {
  const { kind, momentum, weight_decay: weightDecay, betas, eps: epsilon } = fields;
  switch (kind) {
    case 'SGD':
    case 'momentum SGD':
      return { name: 'sgd', momentum, weightDecay, dampening: fields.dampening, nesterov: fields.nesterov };
    case 'Momentum':
      return { name: 'momentum', momentum, weightDecay, useNesterov: fields.use_nesterov };
    case 'Adam':
      return { name: 'adam', betas, epsilon, weightDecay };
    case 'AdamW':
      return { name: 'adamw', betas, epsilon, weightDecay };
    case 'LARS':
      return { name: 'lars', momentum, weightDecay, trustCoefficient: fields.trust_coefficient };
    default:
      throw new DataError(`There is no optimiser '${kind}'.`);
  }
}
