// What a report says of the machine that it was measured on.
import os from 'node:os';

export const machine = () => ({
  processor: os.cpus()[0]?.model ?? 'unknown',
  cores: os.availableParallelism(),
  memoryGB: Math.round(os.totalmem() / 2 ** 30),
  node: process.versions.node,
});
