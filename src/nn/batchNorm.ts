// Batch normalisation with running statistics, as PyTorch's BatchNorm1d and BatchNorm2d keep and name them.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import { batchNormFixed, batchStandardise, batchStatistics } from './functional/batchNorm.js';
import { ones, zeros } from './init.js';
import { Module } from './module.js';
import { Buffer, Parameter } from './parameter.js';

export interface BatchNormOptions {
  epsilon?: number;
  /** The share of the new batch in the running statistics. */
  momentum?: number;
  /** False leaves weight and bias out. */
  affine?: boolean;
}

/** What both have in common. Channels are the last axis. */
abstract class BatchNorm extends Module {
  readonly weight: Parameter | undefined;
  readonly bias: Parameter | undefined;
  readonly runningMean: Buffer;
  readonly runningVar: Buffer;
  readonly numBatchesTracked: Buffer;
  readonly epsilon: number;
  readonly momentum: number;

  constructor(
    readonly numFeatures: number,
    private readonly rank: number,
    { epsilon = 1e-5, momentum = 0.1, affine = true }: BatchNormOptions = {},
  ) {
    super();
    this.epsilon = epsilon;
    this.momentum = momentum;
    this.weight = affine ? new Parameter([numFeatures], ones) : undefined;
    this.bias = affine ? new Parameter([numFeatures], zeros) : undefined;
    this.runningMean = new Buffer([numFeatures], zeros);
    this.runningVar = new Buffer([numFeatures], ones);
    this.numBatchesTracked = new Buffer([], zeros, true, 'int64');
  }

  /**
   * Normalises each channel: in training with the batch's mean and biased variance, and moves the running statistics
   * towards the batch's mean and unbiased variance; otherwise, and where they are frozen, with the running statistics.
   * @throws ShapeError for another rank or channel count; UsageError in training with one value a channel
   */
  override forward(x: Tensor): Tensor {
    if (x.rank !== this.rank || x.shape.at(-1) !== this.numFeatures) {
      const axes = this.rank === 2 ? 'N' : 'B, H, W';
      throw new ShapeError(`Batch norm expects [${axes}, ${this.numFeatures}], got [${x.shape}].`);
    }
    const weight = this.weight?.value;
    const bias = this.bias?.value;
    if (!this.training || this.runningMean.frozen) {
      const fixed = { mean: this.runningMean.value, variance: this.runningVar.value };
      return batchNormFixed(x, { ...fixed, ...(weight && { weight }), ...(bias && { bias }) }, this.epsilon);
    }
    this.track(x);
    const standardised = batchStandardise(x, this.epsilon);
    return weight && bias ? tf.add(tf.mul(standardised, weight), bias) : standardised;
  }

  private track(x: Tensor): void {
    const count = x.size / this.numFeatures;
    if (count < 2) {
      throw new UsageError(`Batch norm needs more than one value a channel in training, got [${x.shape}].`);
    }
    tf.tidy(() => {
      const { mean, variance } = batchStatistics(x);
      const { runningMean, runningVar, numBatchesTracked } = this;
      this.move(runningMean, mean);
      this.move(runningVar, tf.mul(variance, count / (count - 1)));
      numBatchesTracked.value.assign(tf.add(numBatchesTracked.value, 1));
    });
  }

  private move(running: Buffer, batch: Tensor): void {
    const kept = tf.mul(running.value, 1 - this.momentum);
    running.value.assign(tf.add(kept, tf.mul(batch, this.momentum)));
  }
}

/** Over rows: `[N, C]` → `[N, C]`. */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options?: BatchNormOptions) {
    super(numFeatures, 2, options);
  }
}

/** Over images, channels last: `[B, H, W, C]` → `[B, H, W, C]`. */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options?: BatchNormOptions) {
    super(numFeatures, 4, options);
  }
}
