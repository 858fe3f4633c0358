// Ops of our own, beside those of the library that computes: in C++ for TensorFlow (native/) and in WGSL for WebGPU
// (wgsl/), of the same names, inputs and outputs. Whoever uses one has the same of ordinary ops for where it is not there.
import { VitlabError } from '../errors.js';
import { type Tensor, tf, type Variable } from './tf.js';

/** Attributes of an own op by name. */
export type OwnAttributes = Readonly<
  Record<
    string,
    { float: number } | { int: number } | { ints: readonly number[] } | { bool: boolean } | { type: 'float' }
  >
>;

/** An own op that changes variables in the memory that they have. */
export interface InPlaceUpdate {
  op: string;
  /** What it changes, in the order of the op's first inputs. */
  variables: readonly Variable[];
  /** Its other inputs. */
  inputs: readonly Tensor[];
  attributes: OwnAttributes;
}

/** What an engine brings of them. */
export interface OwnOps {
  has(name: string): boolean;
  /** All outputs, or the one with the number `only`. */
  execute(
    name: string,
    inputs: readonly tf.TensorInfo[],
    outputs: number,
    attributes: OwnAttributes,
    only?: number,
  ): Tensor[];
  /** False where the update cannot be made now. */
  update(update: InPlaceUpdate): boolean;
}

const byEngine = new Map<string, OwnOps>();
let portable = 0;

/** Gives the engine ops of our own. */
export function provideOwnOps(engine: string, ops: OwnOps): void {
  byEngine.set(engine, ops);
}

/** VITLAB_NATIVE_OPS=0 leaves all of them out, for comparisons. */
export const ownOpsWanted = (): boolean => portable === 0 && process.env['VITLAB_NATIVE_OPS'] !== '0';

const current = (): OwnOps | undefined => (ownOpsWanted() ? byEngine.get(tf.getBackend()) : undefined);

/** Whether the engine that computes has this op, and nobody wants ordinary ops only. */
export const hasOwnOp = (name: string): boolean => current()?.has(name) ?? false;

/** Runs `f` with ordinary ops only, so that what it records can be computed elsewhere. */
export function withPortableOps<T>(f: () => T): T {
  portable++;
  try {
    return f();
  } finally {
    portable--;
  }
}

/** Runs an own op, or one of the engine's that tfjs has no name for. Not differentiable by itself. */
export function executeOwn(
  name: string,
  inputs: readonly tf.TensorInfo[],
  outputs = 1,
  attributes: OwnAttributes = {},
): Tensor[] {
  return engineWith(name).execute(name, inputs, outputs, attributes);
}

/** One output of an own op that has several; an engine may leave out what only the others need. */
export function executeOwnOutput(
  output: number,
  name: string,
  inputs: readonly tf.TensorInfo[],
  outputs: number,
  attributes: OwnAttributes = {},
): Tensor {
  return engineWith(name).execute(name, inputs, outputs, attributes, output)[0]!;
}

function engineWith(name: string): OwnOps {
  const ops = current();
  if (!ops) throw new VitlabError(`The engine ${tf.getBackend()} has no op ${name} now.`);
  return ops;
}

/**
 * Changes variables in place, where the engine can do it now; else does nothing and gives false. Whoever holds an old
 * value keeps it.
 */
export const updateInPlace = (update: InPlaceUpdate): boolean => current()?.update(update) ?? false;
