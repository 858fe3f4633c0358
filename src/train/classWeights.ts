// Weights of classes for a loss on data in which some classes are rare.
import { UsageError } from '../errors.js';

/** How many of `labels` each of `classes` classes has. @throws UsageError for a label that is no class */
export function classCounts(labels: ArrayLike<number>, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (!(label in counts)) throw new UsageError(`There is no class ${label} among ${classes}.`);
    counts[label]!++;
  }
  return counts;
}

/**
 * A weight for each class that is the larger the rarer the class is, proportional to 1 / count (`inverse`) or
 * 1 / √count (`inverseSqrt`), with a mean of 1 over the classes: VPT's `inv` and `inv_sqrt`.
 * @throws UsageError where a class has no example
 */
export function rarityWeights(counts: readonly number[], rule: 'inverse' | 'inverseSqrt' = 'inverse'): number[] {
  const empty = counts.findIndex((count) => !(count > 0));
  if (empty >= 0) {
    throw new UsageError(`Class ${empty} has ${counts[empty]} examples: a weight by rarity needs at least one.`);
  }
  const raw = counts.map((count) => (rule === 'inverse' ? 1 / count : 1 / Math.sqrt(count)));
  const mean = raw.reduce((a, b) => a + b, 0) / raw.length;
  return raw.map((weight) => weight / mean);
}
