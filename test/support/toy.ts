// A small, fast classification problem for tests: the class is the quadrant that is bright in each 4 × 4 patch. And a
// model that learns it.
import { VisionTransformer, type ViTConfig } from '../../src/models/index.js';
import { Rng } from '../../src/random/index.js';
import type { BatchSource, LabelledBatch } from '../../src/train/index.js';

/** Batches of `[batchSize, 8, 8, 3]` images of four classes, drawn from (seed, epoch, batch). */
export function quadrants({
  batchSize = 16,
  batches = 5,
  seed = 1,
  lastBatch = batchSize,
}: {
  batchSize?: number;
  batches?: number;
  seed?: number;
  lastBatch?: number;
} = {}): BatchSource {
  const make = (epoch: number, index: number): LabelledBatch => {
    const rng = new Rng(seed, `quadrants/${epoch}`, index);
    const count = index === batches - 1 ? lastBatch : batchSize;
    const labels = Int32Array.from({ length: count }, () => rng.integer(4));
    const images = new Float32Array(count * 8 * 8 * 3);
    for (let i = 0; i < images.length; i++) {
      const pixel = Math.floor(i / 3) % 64;
      const quadrant = (Math.floor(pixel / 16) % 2) * 2 + (Math.floor(pixel / 2) % 2);
      images[i] = rng.normal() + (labels[Math.floor(i / 192)] === quadrant ? 1 : 0);
    }
    return { images, shape: [count, 8, 8, 3], labels };
  };
  return {
    batchSize,
    batches,
    async *epoch(epoch, { startBatch = 0 } = {}) {
      for (let index = startBatch; index < batches; index++) yield make(epoch, index);
    },
  };
}

/** A ViT for it, with initial values. */
export const toyViT = (settings: Partial<ViTConfig> = {}): VisionTransformer =>
  new VisionTransformer({
    ...{ imgSize: 8, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4, projDropRate: 0.1 },
    ...settings,
  }).initialize(0);
