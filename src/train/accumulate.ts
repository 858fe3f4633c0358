// Gradients summed over several batches before one update.
import { type Tensor, tf, type Variable } from '../engine/index.js';
import { UsageError } from '../errors.js';
import type { Parameter } from '../nn/index.js';
import { zeroVariable } from './variables.js';

/** The mean gradient of `batches` batches: `add` for all but the last, `take` with the last. */
export class GradientAccumulator {
  /** Sums so far by parameter; zeros between two updates. */
  readonly sums: ReadonlyMap<string, Variable>;

  /** @throws UsageError where `batches` is no whole number of at least 1 */
  constructor(
    parameters: ReadonlyMap<string, Parameter>,
    readonly batches: number,
  ) {
    if (!(Number.isInteger(batches) && batches >= 1)) {
      throw new UsageError(`Gradients are accumulated over 1 or more batches, got ${batches}.`);
    }
    this.sums = new Map([...parameters].map(([name, parameter]) => [name, zeroVariable(parameter.shape)]));
  }

  /** Adds one batch. */
  add(gradients: ReadonlyMap<string, Tensor>): void {
    for (const [name, sum] of this.sums) tf.tidy(() => sum.assign(this.plus(sum, name, gradients)));
  }

  /** The mean over all batches, `gradients` being those of the last, and back to zeros. The caller disposes of it. */
  take(gradients: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    const mean = new Map<string, Tensor>();
    for (const [name, sum] of this.sums) {
      mean.set(
        name,
        tf.tidy(() => this.plus(sum, name, gradients)),
      );
      tf.tidy(() => sum.assign(tf.zerosLike(sum)));
    }
    return mean;
  }

  dispose(): void {
    for (const sum of this.sums.values()) sum.dispose();
  }

  private plus(sum: Variable, name: string, gradients: ReadonlyMap<string, Tensor>): Tensor {
    const gradient = gradients.get(name);
    if (!gradient) throw new UsageError(`There is no gradient for ${name} to accumulate.`);
    return tf.add(sum, tf.mul(gradient, 1 / this.batches));
  }
}
