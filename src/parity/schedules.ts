// Runner of the schedule cases. Which schedule an entry is of follows from the fields that it has.
import { z } from 'zod';
import { DataError } from '../errors.js';
import { createSchedule, schedules } from '../train/index.js';
import type { CaseRunner } from './case.js';

/** What a case expects of some number, and what was computed. */
interface Comparison {
  name: string;
  got: number[];
  expected: number[];
}

/** Computes what an entry asks for; undefined where the entry is of another schedule. */
type Formula = (entry: unknown) => Comparison[] | undefined;

function formula<S extends z.ZodType>(schema: S, compare: (config: z.output<S>) => Comparison[]): Formula {
  return (entry) => {
    const parsed = schema.safeParse(entry);
    return parsed.success ? compare(parsed.data) : undefined;
  };
}

const rates = z.array(z.number());
const rows = (length: number) => z.array(z.array(z.number()).length(length));
const table = (expected: number[], rateOf: (t: number) => number): Comparison[] => [
  { name: 'lr', got: expected.map((_, t) => rateOf(t)), expected },
];
const length = (lr: number[]) => ({ stepsPerEpoch: 1, epochs: lr.length });

const moco = formula(
  z.looseObject({
    base_lr: z.number(),
    warmup_epochs: z.number(),
    epochs: z.number(),
    iterations_per_epoch: z.number(),
    base_momentum: z.number(),
    rows: rows(4),
  }),
  (config) => {
    const { epochs, iterations_per_epoch: stepsPerEpoch, warmup_epochs: warmupEpochs } = config;
    const rateOf = createSchedule(
      { name: 'mocoCosine', baseLr: config.base_lr, warmupEpochs },
      { stepsPerEpoch, epochs },
    );
    const momentumOf = schedules.mocoMomentum({ base: config.base_momentum, epochs });
    const steps = config.rows.map(([epoch, iteration]) => epoch! * stepsPerEpoch + iteration!);
    return [
      { name: 'lr', got: steps.map(rateOf), expected: config.rows.map((row) => row[2]!) },
      {
        name: 'momentum',
        got: steps.map((step) => momentumOf(step / stepsPerEpoch)),
        expected: config.rows.map((row) => row[3]!),
      },
    ];
  },
);

const paddle = formula(
  z.looseObject({
    base_lr: z.number(),
    t_max: z.number(),
    warmup_steps: z.number(),
    start_lr: z.number(),
    steps_per_epoch: z.number(),
    epochs: z.number(),
    rows: rows(3),
  }),
  ({ base_lr: baseLr, t_max: tMax, warmup_steps: warmupSteps, start_lr: startLr, ...run }) => {
    const { steps_per_epoch: stepsPerEpoch, epochs } = run;
    const rateOf = createSchedule(
      { name: 'paddleWarmupCosine', baseLr, startLr, warmupSteps, tMax },
      { stepsPerEpoch, epochs },
    );
    return [
      {
        name: 'lr',
        got: run.rows.map(([epoch, batch]) => rateOf(epoch! * stepsPerEpoch + batch!)),
        expected: run.rows.map((row) => row[2]!),
      },
    ];
  },
);

const timm = formula(
  z.looseObject({
    base_lr: z.number(),
    t_initial: z.number(),
    lr_min: z.number().default(0),
    warmup_t: z.number().default(0),
    warmup_lr_init: z.number().default(0),
    warmup_prefix: z.boolean().default(false),
    cycle_limit: z.number().default(1),
    cycle_mul: z.number().default(1),
    cycle_decay: z.number().default(1),
    k_decay: z.number().default(1),
    lr: rates,
  }),
  (config) => {
    const rateOf = createSchedule(
      {
        name: 'timmCosine',
        baseLr: config.base_lr,
        cycleEpochs: config.t_initial,
        lrMin: config.lr_min,
        warmupEpochs: config.warmup_t,
        warmupLr: config.warmup_lr_init,
        warmupPrefix: config.warmup_prefix,
        cycleLimit: config.cycle_limit,
        cycleMul: config.cycle_mul,
        cycleDecay: config.cycle_decay,
        kDecay: config.k_decay,
      },
      length(config.lr),
    );
    return table(config.lr, rateOf);
  },
);

const vpt = formula(
  z.looseObject({ warmup: z.number(), total: z.number(), factor: rates }),
  ({ warmup, total, factor }) =>
    table(
      factor,
      createSchedule({ name: 'vptCosine', baseLr: 1, warmupEpochs: warmup }, { stepsPerEpoch: 1, epochs: total }),
    ),
);

const torchFields = { base_lr: z.number(), lr: rates };

const step = formula(
  z.looseObject({ ...torchFields, step_size: z.number(), gamma: z.number() }),
  ({ base_lr: baseLr, lr, step_size: stepSize, gamma }) =>
    table(lr, createSchedule({ name: 'step', baseLr, stepSize, gamma }, length(lr))),
);

const multistep = formula(
  z.looseObject({ ...torchFields, milestones: z.array(z.number()), gamma: z.number() }),
  ({ base_lr: baseLr, lr, milestones, gamma }) =>
    table(lr, createSchedule({ name: 'multistep', baseLr, milestones, gamma }, length(lr))),
);

const cosine = formula(
  z.looseObject({ ...torchFields, t_max: z.number(), eta_min: z.number() }),
  ({ base_lr: baseLr, lr, t_max: tMax, eta_min: etaMin }) =>
    table(lr, createSchedule({ name: 'cosine', baseLr, tMax, etaMin }, length(lr))),
);

const exponential = formula(z.looseObject({ ...torchFields, gamma: z.number() }), ({ base_lr: baseLr, lr, gamma }) =>
  table(lr, createSchedule({ name: 'exponential', baseLr, gamma }, length(lr))),
);

/** `exponential` comes last: it asks for less than the others. */
const formulas = [moco, paddle, timm, vpt, step, multistep, cosine, exponential];

/** A configuration is one entry, a list of entries under `items`, or entries by name. */
function entriesOf(config: Record<string, unknown>): [string, unknown][] {
  if (Array.isArray(config['items'])) return config['items'].map((item, i): [string, unknown] => [`items.${i}`, item]);
  return Array.isArray(config['rows']) ? [['rows', config]] : Object.entries(config);
}

export const schedule: CaseRunner = (parityCase, check) => {
  for (const [name, entry] of entriesOf(parityCase.spec.config)) {
    const comparisons = formulas.reduce<Comparison[] | undefined>((found, run) => found ?? run(entry), undefined);
    if (!comparisons) throw new DataError(`${parityCase.path('case.json')}: ${name} is of no known schedule.`);
    for (const { name: what, got, expected } of comparisons) check.value(`${name}.${what}`, got, expected, 'lr');
  }
};
