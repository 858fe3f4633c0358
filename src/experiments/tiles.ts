// Images of a data set to look at, as tiles for `imageGridFigure`.
import type { Dataset } from '../data/index.js';
import type { Tile } from '../plot/index.js';
import { type Budget, trainingLoader, transformsOf } from './budget.js';

/** `count` images spread over the set, each with its class. */
export function exampleTiles(set: Dataset, count: number): Promise<Tile[]> {
  // one further each time, so that a set whose classes take turns does not show one class alone
  const indices = Array.from({ length: count }, (_, i) => (Math.floor((i * set.length) / count) + i) % set.length);
  return Promise.all(
    indices.map(async (index) => {
      const { data, height, width } = await set.image(index);
      return { pixels: data, height, width, label: set.classes[set.label(index)]! };
    }),
  );
}

/** `count` images as the first epoch of a training sees them, augmented, but not normalised: in colours for people. */
export async function trainingTiles(set: Dataset, budget: Budget, count: number): Promise<Tile[]> {
  const { train, test } = transformsOf(budget);
  const augmentation = { train: train.filter(({ name }) => name !== 'normalize'), test };
  const loader = trainingLoader(set, { ...budget, augmentation, batchSize: Math.min(count, set.length) });
  try {
    for await (const { images, labels, shape } of loader.epoch(0)) {
      const [number, height, width] = shape;
      const size = height * width * 3;
      return Array.from({ length: number }, (_, i) => ({
        pixels: images.subarray(i * size, (i + 1) * size),
        height,
        width,
        label: set.classes[labels[i]!]!,
      }));
    }
    return [];
  } finally {
    await loader.close();
  }
}
