// What a tuning method is. Adding one: a file that exports `defineMethod({…})`, and a line in the registry.
import { z } from 'zod';
import { UsageError } from '../errors.js';
import type { Module } from '../nn/index.js';

/** A way to adapt a trained model to a task. */
export interface TuningMethod<Schema extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** One sentence, with the source. */
  readonly description: string;
  /** The schema of its options, each with a default. */
  readonly options: Schema;
  /**
   * Inserts its modules into `model` and marks exactly what trains. Gives the options with their defaults.
   * @throws UsageError for unknown options or wrong values, and where the model lacks what the method changes
   */
  apply(model: Module, options?: z.input<Schema>): z.output<Schema>;
}

/** A method as its file writes it: `apply` gets options that were checked, with their defaults. */
export interface MethodDefinition<Schema extends z.ZodObject> {
  name: string;
  description: string;
  options: Schema;
  apply(model: Module, options: z.output<Schema>): void;
}

/** A method whose options are checked before it is applied. */
export function defineMethod<Schema extends z.ZodObject>(definition: MethodDefinition<Schema>): TuningMethod<Schema> {
  const { name, description, options: schema } = definition;
  return {
    name,
    description,
    options: schema,
    apply(model, options) {
      const parsed = schema.safeParse(options ?? {});
      if (!parsed.success)
        throw new UsageError(`Options of the tuning method ${name}: ${z.prettifyError(parsed.error)}`);
      definition.apply(model, parsed.data);
      return parsed.data;
    },
  };
}
