// Makes the one transfer that the parent sends, says what comes of it, and ends, also when the parent does.
import { startEngine } from '../engine/index.js';
import { type JobMessage, openJob, type TransferJob } from './job.js';
import { transfer } from './transfer.js';

const say = (message: JobMessage): Promise<void> => new Promise((resolve) => process.send!(message, () => resolve()));

async function run(job: TransferJob): Promise<void> {
  await startEngine();
  const { options } = await openJob(job);
  await transfer({
    ...options,
    ownProcess: true,
    progress: { show: () => {}, finish: () => {} },
    onEpoch: (epoch) => void say({ epoch }),
  });
}

process.once('disconnect', () => process.exit(1));
process.once('message', (job: TransferJob) => {
  run(job)
    .then(
      () => say({ done: true }),
      ({ name, message }: Error) => say({ error: { name, message } }),
    )
    .finally(() => process.exit());
});
