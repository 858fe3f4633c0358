// Choosing images by class, such as for a task in which some classes are rare.
import { UsageError } from '../errors.js';
import type { Dataset } from './dataset.js';

/**
 * The indices of the first `counts[c]` images of each class c, in the data set's order.
 * @throws UsageError where there are not as many counts as classes, or a class has not as many images
 */
export function imagesPerClass(dataset: Dataset, counts: readonly number[]): Int32Array {
  const { classes, length, name } = dataset;
  if (counts.length !== classes.length) {
    throw new UsageError(`${name} has ${classes.length} classes, but ${counts.length} numbers of images were given.`);
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
    throw new UsageError(`${name} has ${has} images of ${classes[short]}, but ${counts[short]} were asked for.`);
  }
  return Int32Array.from(indices);
}
