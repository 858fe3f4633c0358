// Full fine-tuning: everything trains.
import { z } from 'zod';
import { defineMethod } from './method.js';
import { trainOnly } from './modules.js';

export const full = defineMethod({
  name: 'full',
  description: 'Full fine-tuning: every parameter trains.',
  options: z.strictObject({}),
  apply: (model) => trainOnly(model, () => true),
});
