// Runners of the fixture kinds of the models group.
import type { CaseRunner } from './case.js';

export const modelKinds: Record<string, CaseRunner> = {};
