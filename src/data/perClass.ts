// Choosing images by class, such as for a task in which some classes are rare.
import { UsageError } from '../errors.js';
import { plural } from '../words.js';
import type { Dataset } from './dataset.js';

/**
 * The indices of the first `counts[c]` images of each class c, in the data set's order.
 * @throws UsageError where there are not as many counts as classes, or a class has not as many images
 */
export function imagesPerClass(dataset: Dataset, counts: readonly number[]): Int32Array {
  const { classes, length, name } = dataset;
  if (counts.length !== classes.length) {
    throw new UsageError(
      `${name} has ${plural(classes.length, 'class', 'classes')}, but counts for ${counts.length} were given.`,
    );
  }
  const left = [...counts];
  const indices: number[] = [];
  for (let index = 0; index < length; index++) {
    const label = dataset.label(index);
    if (left[label]! <= 0) continue;
    left[label]!--;
    indices.push(index);
  }
  const short = left.findIndex((count) => count > 0);
  if (short >= 0) {
    const has = counts[short]! - left[short]!;
    throw new UsageError(
      `${name} has ${plural(has, 'image')} of ${classes[short]}, but ${counts[short]} were asked for.`,
    );
  }
  return Int32Array.from(indices);
}

/**
 * Sets the last images of each class aside, `share` of them but at least one: what learns and what judges it, where the
 * test images must not be looked at yet.
 * @throws UsageError for a share that is not between 0 and 1, or a class with a single image
 */
export function holdOut(dataset: Dataset, share: number): { train: Int32Array; held: Int32Array } {
  if (!(share > 0 && share < 1)) throw new UsageError(`The share to hold out must be between 0 and 1, got ${share}.`);
  const counts = dataset.classes.map(() => 0);
  for (let index = 0; index < dataset.length; index++) counts[dataset.label(index)]!++;
  const few = counts.findIndex((count) => count < 2);
  if (few >= 0) {
    throw new UsageError(
      `${dataset.name} has ${plural(counts[few]!, 'image')} of ${dataset.classes[few]}: none can be held out.`,
    );
  }
  const kept = counts.map((count) => count - Math.min(count - 1, Math.max(1, Math.round(share * count))));
  const train = imagesPerClass(dataset, kept);
  const chosen = new Set(train);
  const held = Array.from({ length: dataset.length }, (_, index) => index).filter((index) => !chosen.has(index));
  return { train, held: Int32Array.from(held) };
}
