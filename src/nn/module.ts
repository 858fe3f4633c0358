// The base of every layer and model. Parameters, buffers and children are plain properties, found by looking at them, and
// named as PyTorch names them: the property's name in snake case, list entries by index.
import type { Tensor } from '../engine/index.js';
import { CheckpointError, few, VitlabError } from '../errors.js';
import { Rng } from '../random/index.js';
import type { ForwardContext } from './context.js';
import { Buffer, Parameter } from './parameter.js';

/** What `loadStateDict` found: names of each kind, and what was left as it was. */
export interface LoadReport {
  loaded: string[];
  /** In the model, not in the state dict. */
  missing: string[];
  /** In the state dict, not in the model. */
  unexpected: string[];
  /** In both with different shapes; left as they were. */
  mismatched: { name: string; expected: readonly number[]; found: readonly number[] }[];
}

export type StateDict = Record<string, Tensor>;

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * A layer or model.
 *
 * Names: property `patchEmbed` holding a module is `patch_embed`; arrays give `blocks.0`, plain objects give their keys
 * as they are. A class overrides `names` where the reference library's name does not follow that rule.
 */
export abstract class Module {
  /** True in training: dropout, stochastic depth and batch statistics are active. See `train()` and `eval()`. */
  training = false;

  /** Reference names of properties whose snake case is not the reference's. */
  protected readonly names: Readonly<Record<string, string>> = {};

  abstract forward(x: Tensor, context?: ForwardContext): Tensor;

  /** Direct children with their names. */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of this.members()) if (value instanceof Module) yield [name, value];
  }

  /** This module (as '') and all below it, depth first. */
  *namedModules(prefix = ''): Generator<[string, Module]> {
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) yield* child.namedModules(join(prefix, name));
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const [name, stored] of this.stored()) if (stored instanceof Parameter) yield [name, stored];
  }

  *namedBuffers(): Generator<[string, Buffer]> {
    for (const [name, stored] of this.stored()) if (stored instanceof Buffer) yield [name, stored];
  }

  /** Parameters that training changes, by name. */
  trainableParameters(): Map<string, Parameter> {
    return new Map([...this.namedParameters()].filter(([, parameter]) => parameter.trainable));
  }

  /** Puts this module and all below it into training mode, or out of it. */
  train(training = true): this {
    for (const [, module] of this.namedModules()) module.training = training;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Marks as trainable exactly the parameters whose name satisfies `which`. */
  setTrainable(which: (name: string) => boolean): this {
    for (const [name, parameter] of this.namedParameters()) parameter.trainable = which(name);
    return this;
  }

  /**
   * Gives every parameter and buffer that has no value yet its initial one. Each value follows from (seed, name) alone,
   * so adding a layer changes no other layer's start.
   */
  initialize(seed: number): this {
    for (const [name, stored] of this.stored()) {
      if (!stored.initialized) stored.initialize(new Rng(seed, `init/${name}`));
    }
    return this;
  }

  /** All parameters and persistent buffers by name. The tensors are the live ones: clone what must not change. */
  stateDict(): StateDict {
    const state: StateDict = {};
    for (const [name, stored] of this.stored()) {
      if (stored instanceof Parameter || stored.persistent) state[name] = stored.value;
    }
    return state;
  }

  /**
   * Copies `state` into the parameters and buffers of the same names.
   * @throws CheckpointError where `strict` (the default) and a name is missing, unexpected or of another shape; nothing
   * is loaded then.
   */
  loadStateDict(state: Readonly<StateDict>, { strict = true }: { strict?: boolean } = {}): LoadReport {
    const report: LoadReport = { loaded: [], missing: [], unexpected: [], mismatched: [] };
    const own = new Map(
      [...this.stored()].filter(([, stored]) => stored instanceof Parameter || (stored as Buffer).persistent),
    );
    for (const [name, stored] of own) {
      const found = state[name];
      if (!found) report.missing.push(name);
      else if (found.shape.join() !== stored.shape.join()) {
        report.mismatched.push({ name, expected: stored.shape, found: found.shape });
      } else report.loaded.push(name);
    }
    report.unexpected = Object.keys(state).filter((name) => !own.has(name));
    if (strict) refuse(report);
    for (const name of report.loaded) own.get(name)!.set(state[name]!.clone());
    return report;
  }

  /** The module at a dotted path, such as `blocks.0.attn`. @throws VitlabError where there is none. */
  get(path: string): Module {
    for (const [name, module] of this.namedModules()) if (name === path) return module;
    throw new VitlabError(`There is no module '${path}' in ${this.constructor.name}.`);
  }

  /** Frees every tensor of this module and all below it. */
  dispose(): void {
    for (const [, stored] of this.stored()) stored.dispose();
  }

  /** Parameters and buffers of this module and all below it, by name, in order of declaration. */
  private *stored(prefix = ''): Generator<[string, Parameter | Buffer]> {
    for (const [name, value] of this.members()) {
      if (value instanceof Module) yield* value.stored(join(prefix, name));
      else yield [join(prefix, name), value];
    }
  }

  private *members(): Generator<[string, Module | Parameter | Buffer]> {
    for (const [property, value] of Object.entries(this)) {
      if (property === 'names') continue;
      const name = this.names[property] ?? snakeCase(property);
      if (isMember(value)) yield [name, value];
      else if (Array.isArray(value) || isPlainObject(value)) {
        for (const [key, entry] of Object.entries(value)) if (isMember(entry)) yield [join(name, key), entry];
      }
    }
  }
}

const join = (prefix: string, name: string): string => (prefix && name ? `${prefix}.${name}` : prefix || name);

const isMember = (value: unknown): value is Module | Parameter | Buffer =>
  value instanceof Module || value instanceof Parameter || value instanceof Buffer;

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

function refuse({ missing, unexpected, mismatched }: LoadReport): void {
  const shapes = mismatched.map(({ name, expected, found }) => `${name} is [${found}] instead of [${expected}]`);
  const faults = [
    missing.length > 0 && `missing: ${few(missing)}`,
    unexpected.length > 0 && `unexpected: ${few(unexpected)}`,
    shapes.length > 0 && `other shapes: ${few(shapes)}`,
  ].filter(Boolean);
  if (faults.length === 0) return;
  throw new CheckpointError(
    `The state dict does not fit the model (${faults.join('; ')}). Load with { strict: false } to take what fits.`,
  );
}

/** Passes its input on. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

/** Modules applied one after the other, named by index or by the given names. */
export class Sequential extends Module {
  protected override readonly names = { layers: '' };
  readonly layers: Readonly<Record<string, Module>>;

  constructor(layers: readonly Module[] | Readonly<Record<string, Module>>) {
    super();
    this.layers = Object.fromEntries(Object.entries(layers));
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return Object.values(this.layers).reduce((y, layer) => layer.forward(y, context), x);
  }
}
