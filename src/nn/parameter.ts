// A named, trainable tensor and its fixed twin, the buffer. Both are declared with a shape and an initialiser and hold
// no memory until they are initialised or loaded.
import { handOver, type Tensor, tf, type Variable } from '../engine/index.js';
import { ShapeError, VitlabError } from '../errors.js';
import type { Rng } from '../random/index.js';
import type { Initializer } from './init.js';

/** A tensor that belongs to a module: its shape, how it starts, and its value once it has one. */
abstract class Stored {
  private held: Variable | undefined;

  constructor(
    readonly shape: readonly number[],
    private readonly initializer: Initializer,
  ) {}

  /** The number of entries. */
  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  get initialized(): boolean {
    return this.held !== undefined;
  }

  /** The value. @throws VitlabError before it was initialised or loaded. */
  get value(): Variable {
    if (!this.held) {
      throw new VitlabError(
        'A parameter has no value yet: call model.initialize(seed) or model.loadStateDict(…) first.',
      );
    }
    return this.held;
  }

  /** Draws the value from the initialiser. */
  initialize(rng: Rng): void {
    this.set(tf.tensor(this.initializer(rng, this.shape), [...this.shape], 'float32'));
  }

  /** Takes over `value` (and disposes of it). @throws ShapeError where the shape differs. */
  set(value: Tensor): void {
    if (value.shape.length !== this.shape.length || value.shape.some((size, i) => size !== this.shape[i])) {
      throw new ShapeError(`Expected a tensor of shape [${this.shape}], got [${value.shape}].`);
    }
    if (this.held) this.held.assign(value);
    else this.held = tf.variable(value);
    value.dispose();
    handOver(this.held);
  }

  dispose(): void {
    this.held?.dispose();
    this.held = undefined;
  }
}

/** A tensor that training changes, unless it is frozen. */
export class Parameter extends Stored {
  private fixed = false;
  private wanted = true;

  /** False for a frozen parameter: no gradient is computed for it and no optimiser touches it. */
  get trainable(): boolean {
    return this.wanted && !this.fixed;
  }

  set trainable(trainable: boolean) {
    this.wanted = trainable;
  }

  /** Freezes the parameter for good: it is part of the architecture that it is not trained. */
  fix(): this {
    this.fixed = true;
    return this;
  }
}

/** A tensor that belongs to the state but is no parameter: running statistics, fixed tables. */
export class Buffer extends Stored {
  /** True where training must leave it as it is, because the layer around it is frozen. */
  frozen = false;

  constructor(
    shape: readonly number[],
    initializer: Initializer,
    /** False keeps it out of the state dict (PyTorch's `persistent=False`). */
    readonly persistent = true,
    /** Its type in checkpoint files: counts and index tables are integers there. */
    readonly fileDtype: 'float32' | 'int64' = 'float32',
  ) {
    super(shape, initializer);
  }
}
