// Learning rates over time: pure float64 functions after torch, Paddle, timm, VPT and MoCo v3. `t` is what the reference
// counts (epochs, steps or fractions of an epoch); `scheduleRegistry.ts` maps training steps to it.

/** (1 + cos(π · x)) / 2: from 1 at x = 0 to 0 at x = 1. */
const halfCosine = (x: number): number => (1 + Math.cos(Math.PI * x)) / 2;

/** torch's StepLR: times `gamma` every `stepSize` epochs. */
export const stepDecay =
  ({ baseLr, stepSize, gamma = 0.1 }: { baseLr: number; stepSize: number; gamma?: number }) =>
  (t: number): number =>
    baseLr * gamma ** Math.floor(t / stepSize);

/** torch's MultiStepLR: times `gamma` at every milestone. */
export const multiStepDecay =
  ({ baseLr, milestones, gamma = 0.1 }: { baseLr: number; milestones: readonly number[]; gamma?: number }) =>
  (t: number): number =>
    baseLr * gamma ** milestones.filter((milestone) => milestone <= t).length;

/** torch's ExponentialLR: times `gamma` every epoch. */
export const exponentialDecay =
  ({ baseLr, gamma }: { baseLr: number; gamma: number }) =>
  (t: number): number =>
    baseLr * gamma ** t;

/** torch's and Paddle's cosine annealing: from `baseLr` at 0 to `etaMin` at `tMax`, and up again after that. */
export const cosineAnnealing =
  ({ baseLr, tMax, etaMin = 0 }: { baseLr: number; tMax: number; etaMin?: number }) =>
  (t: number): number =>
    etaMin + (baseLr - etaMin) * halfCosine(t / tMax);

/**
 * Linear warm-up over `warmup` steps, whose first step already has a rate above 0, then half a cosine down to `minLr`,
 * which is reached at `total`.
 */
export const warmupCosine =
  ({ baseLr, warmup, total, minLr = 0 }: { baseLr: number; warmup: number; total: number; minLr?: number }) =>
  (t: number): number => {
    if (t < warmup) return baseLr * ((t + 1) / warmup);
    const progress = Math.min(1, (t - warmup) / Math.max(1, total - warmup));
    return minLr + (baseLr - minLr) * halfCosine(progress);
  };

/**
 * Paddle's LinearWarmup around CosineAnnealingDecay under a callback that advances it after every batch until the
 * warm-up is over, and from then on at the end of every epoch, also of the epoch in which it ended. So the cosine starts
 * where the warm-up ends, counts epochs, and stops short of zero when `tMax` is the number of epochs.
 * @param t batches before this one, over all epochs
 */
export const paddleWarmupCosine = ({
  baseLr,
  warmupSteps,
  tMax,
  stepsPerEpoch,
  startLr = 0,
}: {
  baseLr: number;
  warmupSteps: number;
  tMax: number;
  stepsPerEpoch: number;
  startLr?: number;
}) => {
  const cosine = cosineAnnealing({ baseLr, tMax });
  const lastWarmupEpoch = Math.floor((warmupSteps - 1) / stepsPerEpoch);
  return (t: number): number =>
    t < warmupSteps
      ? startLr + ((baseLr - startLr) * t) / warmupSteps
      : cosine(Math.floor(t / stepsPerEpoch) - lastWarmupEpoch);
};

/** VPT's warm-up and cosine: a factor on the base rate by epoch, 0 in the first epoch of a warm-up. */
export const vptCosineFactor =
  ({ warmup, total }: { warmup: number; total: number }) =>
  (t: number): number => {
    if (t < warmup) return t / Math.max(1, warmup);
    return Math.max(0, halfCosine((t - warmup) / Math.max(1, total - warmup)));
  };

/** MoCo v3's rate by fractional epoch: linear warm-up from 0, then half a cosine to 0 at `epochs`. */
export const mocoCosine =
  ({ baseLr, warmupEpochs, epochs }: { baseLr: number; warmupEpochs: number; epochs: number }) =>
  (t: number): number =>
    t < warmupEpochs
      ? (baseLr * t) / warmupEpochs
      : baseLr * halfCosine((t - warmupEpochs) / Math.max(epochs - warmupEpochs, Number.MIN_VALUE));

/** MoCo v3's momentum of the momentum encoder by fractional epoch: from `base` to 1 on half a cosine. */
export const mocoMomentum =
  ({ base, epochs }: { base: number; epochs: number }) =>
  (t: number): number =>
    1 - halfCosine(t / epochs) * (1 - base);

export interface TimmCosineOptions {
  baseLr: number;
  /** Length of the first cycle. */
  tInitial: number;
  lrMin?: number;
  warmupT?: number;
  warmupLr?: number;
  /** True: the cosine starts after the warm-up. False: the warm-up replaces its beginning. */
  warmupPrefix?: boolean;
  /** Cycles to run; after them the rate stays at `lrMin`. */
  cycleLimit?: number;
  /** Factor on the length from cycle to cycle. */
  cycleMul?: number;
  /** Factor on the largest rate from cycle to cycle. */
  cycleDecay?: number;
  /** Exponent on the share of the cycle that has passed (Zhang & Li 2020, arXiv:2004.05909). */
  kDecay?: number;
}

/** timm's CosineLRScheduler: the rate after `step(t)`. */
export function timmCosine({
  baseLr,
  tInitial,
  lrMin = 0,
  warmupT = 0,
  warmupLr = 0,
  warmupPrefix = false,
  cycleLimit = 1,
  cycleMul = 1,
  cycleDecay = 1,
  kDecay = 1,
}: TimmCosineOptions): (t: number) => number {
  return (t) => {
    if (t < warmupT) return warmupLr + (t * (baseLr - warmupLr)) / warmupT;
    let rest = warmupPrefix ? t - warmupT : t;
    let length = tInitial;
    let cycle = 0;
    for (; cycle < cycleLimit && rest >= length; cycle++) {
      rest -= length;
      length *= cycleMul;
    }
    if (cycle === cycleLimit) return lrMin;
    return lrMin + (baseLr * cycleDecay ** cycle - lrMin) * halfCosine((rest / length) ** kDecay);
  };
}
