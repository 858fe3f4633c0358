// Experiments: a backbone, a tuning method, a task and a budget, and the record of what came out.
export { type Augmentation, type Budget, evaluationLoader, trainingLoader } from './budget.js';
export { type CollectedRecord, collectRecords, runJob, type TransferJob } from './job.js';
export { type FoundRecord, findRecords, type TransferRecord } from './record.js';
export { type TrainingRun, trainSupervised } from './supervised.js';
export { exampleTiles, trainingTiles } from './tiles.js';
export { type Transfer, type TransferOptions, transfer, transferKey } from './transfer.js';
