// All tuning methods, and how one is applied.
import type { z } from 'zod';
import { nearest, UsageError } from '../errors.js';
import type { Module } from '../nn/index.js';
import { adaptFormer } from './adaptFormer.js';
import { adaptFormerOfficial } from './adaptFormerOfficial.js';
import { bitfit } from './bitfit.js';
import { full } from './full.js';
import { linear } from './linear.js';
import { lora } from './lora.js';
import type { TuningMethod } from './method.js';
import { mona } from './mona.js';
import { vpt } from './vpt.js';

/** The methods by name. */
export const tuningMethods = {
  full,
  linear,
  bitfit,
  lora,
  adaptformer: adaptFormer,
  'adaptformer-official': adaptFormerOfficial,
  mona,
  vpt,
};

export type TuningName = keyof typeof tuningMethods;
export type TuningOptions<N extends TuningName> = z.input<(typeof tuningMethods)[N]['options']>;

/** How a model was tuned, as data: what a file of tuned parameters is described with. */
export interface Tuning {
  method: TuningName;
  /** All options, defaults included. */
  options: Record<string, unknown>;
}

/** The method of that name. @throws UsageError, with the nearest name, for an unknown one */
export function tuningMethod(name: string): TuningMethod {
  if (Object.hasOwn(tuningMethods, name)) return tuningMethods[name as TuningName] as unknown as TuningMethod;
  const guess = nearest(name, Object.keys(tuningMethods));
  const known = Object.keys(tuningMethods).join(', ');
  throw new UsageError(`There is no tuning method '${name}' (${known}).${guess ? ` Did you mean ${guess}?` : ''}`);
}

/**
 * Applies a method to a model, in place: what it adds has no values yet. Use `tune` unless a state dict follows.
 * @throws UsageError for an unknown method or option, and where the model lacks what the method changes
 */
export function applyTuning<N extends TuningName>(model: Module, name: N, options?: TuningOptions<N>): Tuning {
  return { method: name, options: tuningMethod(name).apply(model, options) };
}

/**
 * Tunes a model in place: applies the method and draws the values of what it added (and of whatever had none yet) from
 * the seed, each from its name alone.
 * @throws UsageError as `applyTuning`
 */
export function tune<N extends TuningName>(
  model: Module,
  name: N,
  options: TuningOptions<N> | undefined,
  { seed }: { seed: number },
): Tuning {
  const tuning = applyTuning(model, name, options);
  model.initialize(seed);
  return tuning;
}

/** How many parameters a model has, and how many of them train. */
export function countParameters(model: Module): { total: number; trainable: number } {
  let [total, trainable] = [0, 0];
  for (const [, parameter] of model.namedParameters()) {
    total += parameter.size;
    if (parameter.trainable) trainable += parameter.size;
  }
  return { total, trainable };
}
