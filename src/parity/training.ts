// Runners of the fixture kinds of the training group.
import type { CaseRunner } from './case.js';

export const trainingKinds: Record<string, CaseRunner> = {};
