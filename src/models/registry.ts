// Models by name. A family knows how its models are built; an entry is a name with a configuration.
import { z } from 'zod';
import type { Tensor } from '../engine/index.js';
import { nearest, UsageError } from '../errors.js';
import type { ForwardContext, Module } from '../nn/index.js';

/** What every model of the registry can do. Images are `[B, H, W, C]`. */
export interface ImageModel extends Module {
  /** The classifier; an `Identity` where the model has none. */
  head: Module;
  /** All settings, defaults included. */
  readonly config: object;
  /** Channels of the features. */
  readonly numFeatures: number;
  /** Images → normalised features before pooling: tokens `[B, N, D]` or a map `[B, H, W, D]`. */
  forwardFeatures(images: Tensor, context?: ForwardContext): Tensor;
  /** Features → one vector an image, `[B, D]`. */
  pool(features: Tensor): Tensor;
  /** Features → logits `[B, classes]`. */
  classify(features: Tensor, context?: ForwardContext): Tensor;
}

/** An architecture: its configuration and how a model is built of one. */
export interface ModelFamily<Config extends object> {
  readonly name: string;
  /** All settings; each may be left out. */
  readonly schema: z.ZodType<Partial<Config>>;
  build(config: Partial<Config>): ImageModel;
  /** Settings that make a small and fast relative of a model with the given ones, for tests and trials. */
  scaledDown(config: Partial<Config>): Partial<Config>;
}

export interface ModelEntry<Config extends object = Record<string, unknown>> {
  readonly family: ModelFamily<Config>;
  /** The settings that differ from the family's defaults. */
  readonly defaults: Partial<Config>;
  /** Where the configuration comes from. */
  readonly provenance: string;
  /** The number of parameters as published, for a check. */
  readonly parameters?: number;
}

const entries = new Map<string, ModelEntry>();

/** Adds a model. @throws UsageError where the name is taken, or its family does not know a setting */
export function registerModel<Config extends object>(name: string, entry: ModelEntry<Config>): void {
  if (entries.has(name)) throw new UsageError(`There is a model '${name}' already.`);
  parse(name, entry.family.schema, entry.defaults);
  entries.set(name, entry as unknown as ModelEntry);
}

/** The names of all models, in order of registration. */
export const modelNames = (): string[] => [...entries.keys()];

/** The entry of a name. @throws UsageError for an unknown name, with the nearest known one */
export function modelEntry(name: string): ModelEntry {
  const entry = entries.get(name);
  if (entry) return entry;
  const guess = nearest(name, entries.keys());
  const hint = guess ? `Did you mean ${guess}?` : `There are ${modelNames().join(', ')}.`;
  throw new UsageError(`There is no model '${name}'. ${hint}`);
}

/**
 * Builds a model by name, with some settings changed (`{ numClasses: 10 }`). With `seed` its parameters get their
 * initial values, each from its name alone; without, they have none until a state dict is loaded.
 * @throws UsageError for an unknown name or setting, or a setting of the wrong type
 */
export function createModel(
  name: string,
  overrides: Readonly<Record<string, unknown>> = {},
  { seed }: { seed?: number } = {},
): ImageModel {
  const { family, defaults } = modelEntry(name);
  const model = family.build({ ...defaults, ...parse(name, family.schema, overrides) });
  return seed === undefined ? model : (model.initialize(seed) as ImageModel);
}

function parse<T extends object>(name: string, schema: z.ZodType<T>, settings: unknown): T {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  throw new UsageError(`Settings of the model ${name}: ${z.prettifyError(parsed.error)}`);
}
