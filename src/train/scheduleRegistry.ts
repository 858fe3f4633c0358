// Schedules by name: from the number of a training step to its learning rate.
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { parseNamed } from './namedConfig.js';
import * as schedules from './schedules.js';

/** The learning rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

/** How long a run is. */
export interface RunLength {
  /** Updates in an epoch. */
  stepsPerEpoch: number;
  epochs: number;
}

const rate = z.number().min(0);
const baseLr = rate;
const whole = z.number().int().min(0);
const positive = z.number().gt(0);

export const scheduleSchemas = {
  constant: z.strictObject({ name: z.literal('constant'), baseLr }),
  /** Every `stepSize` epochs times `gamma`. */
  step: z.strictObject({
    name: z.literal('step'),
    baseLr,
    stepSize: z.number().int().min(1),
    gamma: positive.default(0.1),
  }),
  multistep: z.strictObject({
    name: z.literal('multistep'),
    baseLr,
    milestones: z.array(whole),
    gamma: positive.default(0.1),
  }),
  exponential: z.strictObject({ name: z.literal('exponential'), baseLr, gamma: positive }),
  /** Cosine annealing by epoch; `tMax` is the number of epochs unless given. */
  cosine: z.strictObject({ name: z.literal('cosine'), baseLr, tMax: positive.optional(), etaMin: rate.default(0) }),
  /** By step: warm-up over `warmupSteps`, or over that share of all steps, then a cosine to `minLr`. */
  warmupCosine: z.strictObject({
    name: z.literal('warmupCosine'),
    baseLr,
    warmupSteps: whole.optional(),
    warmupFraction: z.number().min(0).max(1).default(0.05),
    minLr: rate.default(0),
  }),
  /** LinearWarmup around CosineAnnealingDecay, by batch and then by epoch. */
  paddleWarmupCosine: z.strictObject({
    name: z.literal('paddleWarmupCosine'),
    baseLr,
    warmupSteps: z.number().int().min(1).default(2000),
    startLr: rate.default(0),
    tMax: positive.optional(),
  }),
  /** timm's by epoch, or with `onUpdates` by step; lengths are in epochs either way. */
  timmCosine: z.strictObject({
    name: z.literal('timmCosine'),
    baseLr,
    cycleEpochs: positive.optional(),
    lrMin: rate.default(0),
    warmupEpochs: z.number().min(0).default(0),
    warmupLr: rate.default(0),
    warmupPrefix: z.boolean().default(false),
    cycleLimit: z.number().int().min(1).default(1),
    cycleMul: z.number().min(1).default(1),
    cycleDecay: positive.default(1),
    kDecay: positive.default(1),
    onUpdates: z.boolean().default(false),
  }),
  /** VPT's by epoch. */
  vptCosine: z.strictObject({ name: z.literal('vptCosine'), baseLr, warmupEpochs: whole.default(10) }),
  /** MoCo v3's by fraction of an epoch. */
  mocoCosine: z.strictObject({
    name: z.literal('mocoCosine'),
    baseLr,
    warmupEpochs: z.number().min(0).default(40),
  }),
} as const;

export type ScheduleName = keyof typeof scheduleSchemas;
/** What `createSchedule` takes. */
export type ScheduleConfig = z.input<(typeof scheduleSchemas)[ScheduleName]>;

/** The configuration with all defaults filled in. @throws UsageError where it is not valid */
export const parseSchedule = (config: ScheduleConfig): z.output<(typeof scheduleSchemas)[ScheduleName]> =>
  parseNamed('schedule', scheduleSchemas, config);

/**
 * The schedule that `config` names for a run of that length.
 * @throws UsageError where the configuration or the length is not valid
 */
export function createSchedule(config: ScheduleConfig, { stepsPerEpoch, epochs }: RunLength): Schedule {
  const checked = parseSchedule(config);
  if (!(Number.isInteger(stepsPerEpoch) && stepsPerEpoch >= 1 && epochs > 0 && Number.isFinite(epochs))) {
    throw new UsageError(
      `A schedule needs a whole number of steps in an epoch and a number of epochs above 0, got ${stepsPerEpoch} and ${epochs}.`,
    );
  }
  const byEpoch =
    (rateOf: (epoch: number) => number): Schedule =>
    (step) =>
      rateOf(Math.floor(step / stepsPerEpoch));
  switch (checked.name) {
    case 'constant':
      return () => checked.baseLr;
    case 'step':
      return byEpoch(schedules.stepDecay(checked));
    case 'multistep':
      return byEpoch(schedules.multiStepDecay(checked));
    case 'exponential':
      return byEpoch(schedules.exponentialDecay(checked));
    case 'cosine':
      return byEpoch(schedules.cosineAnnealing({ ...checked, tMax: checked.tMax ?? epochs }));
    case 'warmupCosine': {
      const total = stepsPerEpoch * epochs;
      const warmup = checked.warmupSteps ?? Math.round(checked.warmupFraction * total);
      return schedules.warmupCosine({ ...checked, warmup, total });
    }
    case 'paddleWarmupCosine':
      return schedules.paddleWarmupCosine({ ...checked, stepsPerEpoch, tMax: checked.tMax ?? epochs });
    case 'timmCosine': {
      const unit = checked.onUpdates ? stepsPerEpoch : 1;
      const tInitial = (checked.cycleEpochs ?? epochs) * unit;
      const rateOf = schedules.timmCosine({ ...checked, tInitial, warmupT: checked.warmupEpochs * unit });
      return checked.onUpdates ? rateOf : byEpoch(rateOf);
    }
    case 'vptCosine': {
      const factor = schedules.vptCosineFactor({ warmup: checked.warmupEpochs, total: epochs });
      return byEpoch((epoch) => checked.baseLr * factor(epoch));
    }
    case 'mocoCosine': {
      const rateOf = schedules.mocoCosine({ ...checked, epochs });
      return (step) => rateOf(step / stepsPerEpoch);
    }
  }
}
