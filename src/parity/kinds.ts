// All kinds of fixture cases that can be run.
import type { CaseRunner } from './case.js';
import { checkpointKinds } from './checkpoint.js';
import { conversionKinds } from './conversion.js';
import { dataKinds } from './data.js';
import { modelKinds } from './models.js';
import { trainingKinds } from './training.js';
import { tuningKinds } from './tuning.js';

export const kinds: Readonly<Record<string, CaseRunner>> = {
  ...checkpointKinds,
  ...conversionKinds,
  ...dataKinds,
  ...modelKinds,
  ...trainingKinds,
  ...tuningKinds,
};

/** Whether a kind computes on the engine, which must then be started first. */
export function needsEngine(kind: string): boolean {
  return [conversionKinds, modelKinds, trainingKinds, tuningKinds].some((group) => Object.hasOwn(group, kind));
}
