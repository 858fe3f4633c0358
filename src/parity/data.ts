// Runners of the fixture kinds of the data group.
import type { CaseRunner } from './case.js';

export const dataKinds: Record<string, CaseRunner> = {};
