// Runners of the fixture kinds of checkpoint files.
import type { CaseRunner } from './case.js';

export const checkpointKinds: Record<string, CaseRunner> = {};
