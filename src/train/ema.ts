// Exponential moving averages of weights: MoCo v3's momentum encoder, and timm's ModelEmaV3 for evaluation.
import { type Tensor, tf, type Variable } from '../engine/index.js';
import { ShapeError } from '../errors.js';
import { Buffer, type Module, type Parameter } from '../nn/index.js';
import { copiedVariable, copyOf } from './variables.js';

/**
 * Moves each average towards its source: average ← average + rate · (source - average).
 * @param rate scalar, 1 - momentum; computed in float64 by the caller, since float32 would lose it close to 0
 */
export function moveTowards(pairs: Iterable<readonly [average: Variable, source: Tensor]>, rate: Tensor): void {
  if (rate.rank !== 0) throw new ShapeError(`The rate must be a scalar tensor, got shape [${rate.shape}].`);
  for (const [average, source] of pairs) {
    tf.tidy(() => average.assign(tf.add(average, tf.mul(tf.sub(source, average), rate))));
  }
}

export interface EmaDecayOptions {
  /** Default 0.9999. */
  decay?: number;
  minDecay?: number;
  /** Let the decay rise from 0 towards `decay`. */
  warmup?: boolean;
  /** Default 1. */
  warmupGamma?: number;
  /** Default 2/3. */
  warmupPower?: number;
  /** Steps before the average starts to move on its own; until then it is a copy. */
  updateAfter?: number;
}

/** timm's ModelEmaV3: the decay of a step, counted from 0. `moveTowards` takes 1 minus it. */
export function emaDecay(step: number, options: EmaDecayOptions = {}): number {
  const {
    decay = 0.9999,
    minDecay = 0,
    warmup = false,
    warmupGamma = 1,
    warmupPower = 2 / 3,
    updateAfter = 0,
  } = options;
  const since = Math.max(0, step - updateAfter - 1);
  if (since <= 0) return 0;
  if (!warmup) return decay;
  return Math.max(minDecay, Math.min(decay, 1 - (1 + since / warmupGamma) ** -warmupPower));
}

/** The moving average of all weights and statistics of a model, for evaluation. */
export class WeightEma {
  /** By name, as they are in the model's state dict. */
  readonly averages: ReadonlyMap<string, Variable>;
  private readonly sources: ReadonlyMap<string, Parameter | Buffer>;

  /** Starts as a copy of what `model` holds now. Frozen parameters are left out: they do not move. */
  constructor(model: Module) {
    this.sources = new Map<string, Parameter | Buffer>([
      ...model.trainableParameters(),
      ...[...model.namedBuffers()].filter(([, buffer]) => buffer.persistent),
    ]);
    this.averages = new Map([...this.sources].map(([name, source]) => [name, copiedVariable(source.value)]));
  }

  /** One step: average ← average + rate · (weight - average); counts are copied. `rate` is a scalar, 1 - decay. */
  update(rate: Tensor): void {
    moveTowards(this.pairs(false), rate);
    for (const [average, count] of this.pairs(true)) tf.tidy(() => average.assign(copyOf(count)));
  }

  /** Exchanges averages and weights of the model, and again to undo it. */
  swap(): void {
    for (const [average, weight] of [...this.pairs(false), ...this.pairs(true)]) {
      const held = weight.clone();
      weight.assign(average);
      average.assign(held);
      held.dispose();
    }
  }

  dispose(): void {
    for (const average of this.averages.values()) average.dispose();
  }

  /** Averages with their sources: either those that are counts, or the others. */
  private *pairs(counts: boolean): Generator<[Variable, Variable]> {
    for (const [name, average] of this.averages) {
      const source = this.sources.get(name)!;
      if (counts === (source instanceof Buffer && source.fileDtype === 'int64')) yield [average, source.value];
    }
  }
}
