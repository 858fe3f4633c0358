import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UsageError } from '../../src/errors.js';
import {
  createSchedule,
  type RunLength,
  type ScheduleConfig,
  scheduleSchemas,
  schedules,
} from '../../src/train/index.js';
import { assertClose } from './helpers.js';

const LENGTH: RunLength = { stepsPerEpoch: 20, epochs: 12 };

/** One configuration a schedule, none of which rises after its warm-up within the run. */
const CONFIGS: Record<keyof typeof scheduleSchemas, { config: ScheduleConfig; warmupSteps: number }> = {
  constant: { config: { name: 'constant', baseLr: 0.1 }, warmupSteps: 0 },
  step: { config: { name: 'step', baseLr: 0.1, stepSize: 3 }, warmupSteps: 0 },
  multistep: { config: { name: 'multistep', baseLr: 0.1, milestones: [9, 4] }, warmupSteps: 0 },
  exponential: { config: { name: 'exponential', baseLr: 0.1, gamma: 0.8 }, warmupSteps: 0 },
  cosine: { config: { name: 'cosine', baseLr: 0.1, etaMin: 0.01 }, warmupSteps: 0 },
  warmupCosine: { config: { name: 'warmupCosine', baseLr: 0.1, warmupFraction: 0.1 }, warmupSteps: 24 },
  paddleWarmupCosine: { config: { name: 'paddleWarmupCosine', baseLr: 0.1, warmupSteps: 47 }, warmupSteps: 47 },
  timmCosine: {
    config: { name: 'timmCosine', baseLr: 0.1, warmupEpochs: 2, warmupLr: 1e-4, warmupPrefix: true, lrMin: 1e-5 },
    warmupSteps: 40,
  },
  vptCosine: { config: { name: 'vptCosine', baseLr: 0.1, warmupEpochs: 3 }, warmupSteps: 60 },
  mocoCosine: { config: { name: 'mocoCosine', baseLr: 0.1, warmupEpochs: 2 }, warmupSteps: 40 },
};

const ratesOf = (config: ScheduleConfig, length = LENGTH): number[] => {
  const schedule = createSchedule(config, length);
  return Array.from({ length: length.stepsPerEpoch * length.epochs }, (_, step) => schedule(step));
};

const distinct = (rates: readonly number[]): number => new Set(rates).size;

describe('every schedule', () => {
  it('is tried here', () => assert.deepEqual(Object.keys(CONFIGS), Object.keys(scheduleSchemas)));

  for (const [name, { config, warmupSteps }] of Object.entries(CONFIGS)) {
    it(`${name} never falls while it warms up, never rises after that, and stays in [0, baseLr]`, () => {
      const rates = ratesOf(config);
      for (let step = 1; step < rates.length; step++) {
        const [before, now] = [rates[step - 1]!, rates[step]!];
        if (step <= warmupSteps) assert.ok(now >= before, `falls at ${step}`);
        else assert.ok(now <= before, `rises at ${step}`);
      }
      assert.ok(Math.min(...rates) >= 0);
      assert.ok(Math.abs(Math.max(...rates) - 0.1) < 1e-12, `${Math.max(...rates)}`);
    });

    it(`${name} is a function of the step alone`, () => {
      const schedule = createSchedule(config, LENGTH);
      const forwards = Array.from({ length: 240 }, (_, step) => schedule(step));
      const backwards = Array.from({ length: 240 }, (_, i) => schedule(239 - i)).reverse();
      assert.deepEqual(backwards, forwards);
    });
  }
});

describe('what schedules count', () => {
  it('epochs where the reference steps by epoch', () => {
    for (const name of ['cosine', 'timmCosine', 'vptCosine'] as const) {
      assert.equal(distinct(ratesOf(CONFIGS[name].config)), 12, name);
    }
  });

  it('steps where it steps by update', () => {
    assert.ok(distinct(ratesOf(CONFIGS.warmupCosine.config)) > 230);
    assert.ok(distinct(ratesOf(CONFIGS.mocoCosine.config)) > 200);
    const onUpdates = { ...CONFIGS.timmCosine.config, onUpdates: true } as ScheduleConfig;
    assert.ok(distinct(ratesOf(onUpdates)) > 200);
  });
});

/** The callback of the Paddle recipe, batch by batch: what the closed form must come to. */
function paddleByHand(warmupSteps: number, stepsPerEpoch: number, epochs: number, tMax: number): number[] {
  let counter = 0;
  let warmsUp = true;
  const rates: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (let batch = 0; batch < stepsPerEpoch; batch++) {
      const t = counter - warmupSteps;
      rates.push(t < 0 ? counter / warmupSteps : (1 + Math.cos((Math.PI * t) / tMax)) / 2);
      if (warmsUp) {
        counter++;
        if (counter >= warmupSteps) warmsUp = false;
      }
    }
    if (!warmsUp) counter++;
  }
  return rates;
}

describe('paddleWarmupCosine', () => {
  it('is what the callback does, wherever in an epoch the warm-up ends', () => {
    for (let warmupSteps = 1; warmupSteps <= 22; warmupSteps++) {
      const got = ratesOf(
        { name: 'paddleWarmupCosine', baseLr: 1, warmupSteps, tMax: 6 },
        { stepsPerEpoch: 7, epochs: 6 },
      );
      const expected = paddleByHand(warmupSteps, 7, 6, 6);
      assertClose(got, expected, 1e-12);
    }
  });
});

describe('warmupCosine', () => {
  it('warms up over 5 % of the run unless told otherwise, from the first step on, and ends near 0', () => {
    const rates = ratesOf({ name: 'warmupCosine', baseLr: 1 });
    assert.equal(rates.indexOf(1), 11);
    assert.ok(rates[0]! > 0);
    assert.ok(rates.at(-1)! > 0 && rates.at(-1)! < 1e-3);
    assert.equal(createSchedule({ name: 'warmupCosine', baseLr: 1, minLr: 0.2 }, LENGTH)(10_000), 0.2);
  });
});

describe('mocoMomentum', () => {
  it('rises from its base to 1', () => {
    const momentum = schedules.mocoMomentum({ base: 0.99, epochs: 100 });
    const rates = Array.from({ length: 101 }, (_, epoch) => momentum(epoch));
    assert.ok(Math.abs(rates[0]! - 0.99) < 1e-15);
    assert.equal(rates[100], 1);
    for (let epoch = 1; epoch <= 100; epoch++) assert.ok(rates[epoch]! > rates[epoch - 1]!);
  });
});

describe('what a schedule refuses', () => {
  const bad =
    (config: object, length: RunLength = LENGTH) =>
    () =>
      createSchedule(config as ScheduleConfig, length);

  it('unknown names and keys, naming the nearest', () => {
    assert.throws(
      bad({ name: 'cosin', baseLr: 1 }),
      (error) => error instanceof UsageError && /cosine\?/.test(error.message),
    );
    assert.throws(bad({ name: 'cosine', baselr: 1 }), /Did you mean baseLr\?/);
    assert.throws(bad({ name: 'cosine' }), /baseLr/);
    assert.throws(bad({ name: 'cosine', baseLr: -1 }), UsageError);
    assert.throws(bad({ name: 'paddleWarmupCosine', baseLr: 1, warmupSteps: 0 }), UsageError);
  });

  it('a run that has no length', () => {
    const config = CONFIGS.constant.config;
    assert.throws(bad(config, { stepsPerEpoch: 0, epochs: 3 }), UsageError);
    assert.throws(bad(config, { stepsPerEpoch: 1.5, epochs: 3 }), UsageError);
    assert.throws(bad(config, { stepsPerEpoch: 5, epochs: Number.NaN }), UsageError);
  });
});
