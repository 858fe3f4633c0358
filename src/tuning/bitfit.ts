// BitFit, Ben Zaken et al. 2022 (arXiv:2106.10199).
import { z } from 'zod';
import { defineMethod } from './method.js';
import { isHead, trainOnly } from './modules.js';

export const bitfit = defineMethod({
  name: 'bitfit',
  description: 'BitFit (arXiv:2106.10199): every bias and the head train.',
  options: z.strictObject({}),
  apply: (model) => trainOnly(model, (name) => name.endsWith('.bias') || isHead(name)),
});
