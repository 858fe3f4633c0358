// Linear probing: only the classifier trains, on frozen features.
import { z } from 'zod';
import { defineMethod } from './method.js';
import { isHead, trainOnly } from './modules.js';

export const linear = defineMethod({
  name: 'linear',
  description: 'Linear probe: only the head trains.',
  options: z.strictObject({}),
  apply: (model) => trainOnly(model, isHead),
});
