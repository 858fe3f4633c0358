// What an evaluation counts: correct predictions on the device, means and per-class figures in JavaScript.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import { plural } from '../words.js';

/**
 * How many examples have their label among the `k` largest logits, a float32 scalar. Equal logits rank by class, the
 * lower first. A label whose row has NaN at its place, or above it, counts as wrong.
 * @param logits `[B, C]`
 * @param labels int32 `[B]`
 * @param mask `[B]`, 0 for examples that only fill up the batch
 * @throws ShapeError where the shapes do not fit; UsageError where `k` is not between 1 and C
 */
export function correctTopK(logits: Tensor, labels: Tensor, k: number, mask?: Tensor): Tensor {
  const [batch, classes] = logits.shape as [number, number];
  const fits = labels.shape.join() === `${batch}` && (!mask || mask.shape.join() === `${batch}`);
  if (logits.rank !== 2 || !fits) {
    throw new ShapeError(
      `Counting needs logits [B, C], labels [B] and perhaps a mask [B], got [${logits.shape}], [${labels.shape}]` +
        `${mask ? ` and [${mask.shape}]` : ''}.`,
    );
  }
  if (!(Number.isInteger(k) && k >= 1 && k <= classes)) {
    throw new UsageError(
      `Top-k of ${plural(classes, 'class', 'classes')} needs a k between 1 and ${classes}, got ${k}.`,
    );
  }
  return tf.tidy(() => {
    const label = tf.expandDims(labels, 1);
    const place = tf.range(0, classes, 1, 'int32');
    const own = tf.sum(tf.where(tf.equal(place, label), logits, tf.zerosLike(logits)), 1, true);
    const tied = tf.logicalAnd(tf.equal(own, logits), tf.greaterEqual(place, label));
    // counted from below, since every comparison with NaN is false
    const beaten = tf.sum(tf.cast(tf.logicalOr(tf.greater(own, logits), tied), 'float32'), 1);
    const correct = tf.cast(tf.greater(beaten, classes - k), 'float32');
    return tf.sum(mask ? tf.mul(correct, mask) : correct);
  });
}

/** The class of the largest logit, int32 `[B]`. */
export const predictions = (logits: Tensor): Tensor => tf.argMax(logits, -1);

/** A mean that grows batch by batch. */
export class Mean {
  private total = 0;
  private weight = 0;

  /** Adds `count` values whose sum is `sum`. */
  add(sum: number, count = 1): void {
    this.total += sum;
    this.weight += count;
  }

  get count(): number {
    return this.weight;
  }

  /** NaN before the first value. */
  get value(): number {
    return this.total / this.weight;
  }
}

/** Counts of (true class, predicted class). */
export class ConfusionMatrix {
  /** Row: true class; column: predicted class. */
  readonly counts: readonly Uint32Array[];

  constructor(readonly classes: number) {
    this.counts = Array.from({ length: classes }, () => new Uint32Array(classes));
  }

  /** Adds examples. @throws UsageError for a class that does not exist */
  add(labels: ArrayLike<number>, predicted: ArrayLike<number>): void {
    if (labels.length !== predicted.length) {
      throw new UsageError(`Got ${plural(labels.length, 'label')} and ${plural(predicted.length, 'prediction')}.`);
    }
    for (let i = 0; i < labels.length; i++) {
      this.row(labels[i]!)[this.class(predicted[i]!)]! += 1;
    }
  }

  /** Share of right predictions. */
  get accuracy(): number {
    const right = this.counts.reduce((sum, row, i) => sum + row[i]!, 0);
    return right / this.counts.flatMap((row) => [...row]).reduce((a, b) => a + b, 0);
  }

  /** Share of right predictions within each true class; NaN for a class without examples. */
  get perClass(): number[] {
    return this.counts.map((row, i) => row[i]! / row.reduce((a, b) => a + b, 0));
  }

  /** The mean of `perClass` over the classes that have examples. */
  get balancedAccuracy(): number {
    const present = this.perClass.filter((share) => !Number.isNaN(share));
    return present.reduce((a, b) => a + b, 0) / present.length;
  }

  private row(label: number): Uint32Array {
    return this.counts[this.class(label)]!;
  }

  private class(index: number): number {
    if (!(Number.isInteger(index) && index >= 0 && index < this.classes)) {
      throw new UsageError(`There is no class ${index} among ${this.classes}.`);
    }
    return index;
  }
}
