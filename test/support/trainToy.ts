// Trains a toy run with its state in the folder that is given, and writes the final weights there. Says `step` for each.
import fs from 'node:fs';
import path from 'node:path';
import { writeSafetensors } from '../../src/checkpoint/index.js';
import { startEngine } from '../../src/engine/index.js';
import { fit } from '../../src/train/index.js';
import { quadrants, toyViT } from './toy.js';

async function main(dir: string): Promise<void> {
  fs.mkdirSync(dir, { recursive: true });
  await startEngine('tensorflow');
  const model = toyViT();
  await fit({
    model,
    train: quadrants({ batches: 20 }),
    epochs: 3,
    optimizer: { name: 'momentum', momentum: 0.9 },
    schedule: { name: 'constant', baseLr: 0.01 },
    seed: 5,
    checkpoint: path.join(dir, 'state.safetensors'),
    checkpointSeconds: 0,
    progress: { show: ({ done }) => console.log(`step ${done}`), finish: () => {} },
  });
  const state = Object.entries(model.stateDict());
  writeSafetensors(
    path.join(dir, 'final.safetensors'),
    Object.fromEntries(
      state.map(([name, t]) => [name, { dtype: 'float32', shape: t.shape, data: t.dataSync() as Float32Array }]),
    ),
  );
}

main(process.argv[2]!).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
