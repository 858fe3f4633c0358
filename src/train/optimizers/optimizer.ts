// The base of every optimiser. An update is tensor arithmetic only, so that it can be recorded as a graph: learning rate
// and step are tensors, state lives in variables that exist from the start.
import { type InPlaceUpdate, type Tensor, tf, updateInPlace, type Variable } from '../../engine/index.js';
import { ShapeError, UsageError } from '../../errors.js';
import type { Parameter } from '../../nn/index.js';
import { zeroVariable } from '../variables.js';

/** Parameters that share a learning rate and a weight decay. */
export interface ParameterGroup {
  /** By their names in the model. Frozen ones are left out. */
  parameters: ReadonlyMap<string, Parameter>;
  /** Factor on the learning rate; default 1. */
  lrScale?: number;
  /** Instead of the optimiser's own weight decay. */
  weightDecay?: number;
}

/** What changes from update to update. */
export interface UpdateInputs {
  /** Scalar. */
  learningRate: Tensor;
  /** Scalar float32, 1 for the first update. */
  step: Tensor;
}

/** An optimiser's variables for one parameter, by name. */
export type Slots = Readonly<Record<string, Variable>>;

/** Gives the new value of a parameter, and moves its slots. */
export type UpdateRule = (value: Tensor, gradient: Tensor, slots: Slots) => Tensor;

/** The rule of a group in two forms of the same meaning. */
export interface Rule {
  /** Of ordinary ops. */
  update: UpdateRule;
  /** As one op that passes once over memory, where the optimiser has one; taken where the engine can. */
  inPlace?: (value: Variable, gradient: Tensor, slots: Slots) => InPlaceUpdate;
}

interface Entry {
  name: string;
  parameter: Parameter;
  slots: Record<string, Variable>;
}

interface Group {
  entries: Entry[];
  lrScale: number;
  weightDecay: number;
}

export type Groups = readonly ParameterGroup[] | ReadonlyMap<string, Parameter>;

/** Changes parameters by their gradients. */
export abstract class Optimizer {
  /** The state by slot and parameter, all zeros at first: `momentum/blocks.0.attn.qkv.weight`. */
  readonly slots: ReadonlyMap<string, Variable>;
  private readonly groups: readonly Group[];

  /**
   * @param groups parameter groups, or all parameters as one group; only those that are trainable now are taken
   * @throws UsageError where a parameter is in two groups, none is trainable, or a number is out of its range
   */
  protected constructor(groups: Groups, slotNames: readonly string[], weightDecay: number) {
    const slots = new Map<string, Variable>();
    const seen = new Set<string>();
    const enter = (name: string, parameter: Parameter): Entry => {
      if (seen.has(name)) throw new UsageError(`The parameter ${name} is in two groups of the optimiser.`);
      seen.add(name);
      const own = slotNames.map((slot): [string, Variable] => {
        const variable = zeroVariable(parameter.shape);
        slots.set(`${slot}/${name}`, variable);
        return [slot, variable];
      });
      return { name, parameter, slots: Object.fromEntries(own) };
    };
    this.groups = asGroups(groups).map((group) => {
      const { parameters, lrScale = 1 } = group;
      const decay = group.weightDecay ?? weightDecay;
      checkRange('lrScale', lrScale);
      checkRange('weightDecay', decay);
      const trainable = [...parameters].filter(([, parameter]) => parameter.trainable);
      return { entries: trainable.map(([name, parameter]) => enter(name, parameter)), lrScale, weightDecay: decay };
    });
    if (seen.size === 0) throw new UsageError('The optimiser got no trainable parameter.');
    this.slots = slots;
  }

  /** The rule of one group. Arithmetic that is the same for all its parameters is done here, once. */
  protected abstract rule(inputs: UpdateInputs, weightDecay: number): Rule;

  /** What is trained, by name. */
  parameters(): Map<string, Parameter> {
    const all = this.groups.flatMap(({ entries }) => entries);
    return new Map(all.map(({ name, parameter }) => [name, parameter]));
  }

  /**
   * One update of all parameters. Needs a gradient for each of them and for nothing else; disposes of none.
   * @throws ShapeError where learning rate or step is no scalar; UsageError where gradients and parameters differ
   */
  apply(gradients: ReadonlyMap<string, Tensor>, { learningRate, step }: UpdateInputs): void {
    checkScalar('learning rate', learningRate);
    checkScalar('step', step);
    this.checkNames(gradients);
    tf.tidy(() => {
      for (const { entries, lrScale, weightDecay } of this.groups) {
        const scaled = lrScale === 1 ? learningRate : tf.mul(learningRate, lrScale);
        const { update, inPlace } = this.rule({ learningRate: scaled, step }, weightDecay);
        for (const { name, parameter, slots } of entries) {
          // each by itself, so that its temporaries are freed before the next
          tf.tidy(() => {
            const { value } = parameter;
            const gradient = gradients.get(name)!;
            if (inPlace && updateInPlace(inPlace(value, gradient, slots))) return;
            value.assign(update(value, gradient, slots));
          });
        }
      }
    });
  }

  /** Frees the state. */
  dispose(): void {
    for (const slot of this.slots.values()) slot.dispose();
  }

  private checkNames(gradients: ReadonlyMap<string, Tensor>): void {
    const names = new Set(this.groups.flatMap(({ entries }) => entries.map(({ name }) => name)));
    const missing = [...names].find((name) => !gradients.has(name));
    if (missing !== undefined) throw new UsageError(`The optimiser got no gradient for ${missing}.`);
    const foreign = [...gradients.keys()].find((name) => !names.has(name));
    if (foreign !== undefined) {
      throw new UsageError(`The optimiser got a gradient for ${foreign}, which is not among its parameters.`);
    }
  }
}

function asGroups(groups: Groups): readonly ParameterGroup[] {
  return groups instanceof Map ? [{ parameters: groups }] : (groups as readonly ParameterGroup[]);
}

function checkRange(name: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value))) throw new UsageError(`${name} must be 0 or more, got ${value}.`);
}

function checkScalar(name: string, tensor: Tensor): void {
  if (tensor.rank !== 0) throw new ShapeError(`The ${name} must be a scalar tensor, got shape [${tensor.shape}].`);
}

/** p + weight · value, for the L2 penalty's part of a gradient. */
export const addDecay = (gradient: Tensor, value: Tensor, weightDecay: number): Tensor =>
  weightDecay === 0 ? gradient : tf.add(gradient, tf.mul(value, weightDecay));
