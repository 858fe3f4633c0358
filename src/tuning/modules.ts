// How a method reaches into a model: finding blocks, putting modules in the place of others, saying what trains.
import { UsageError } from '../errors.js';
import { isTransformerBlock, type TransformerBlock } from '../models/index.js';
import { Linear, Module } from '../nn/index.js';

/** A place that holds a child: a property, or an entry of a list or record that a property holds. */
interface Slot {
  holder: Record<string, unknown>;
  key: string;
  child: Module;
}

function* slots(module: Module): Generator<Slot> {
  for (const [key, value] of Object.entries(module)) {
    if (value instanceof Module) yield { holder: module as unknown as Slot['holder'], key, child: value };
    else if (isCollection(value)) {
      for (const [place, child] of Object.entries(value)) {
        if (child instanceof Module) yield { holder: value, key: place, child };
      }
    }
  }
}

const isCollection = (value: unknown): value is Record<string, unknown> =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype);

/**
 * Puts a module in the place of each one below `root` for which `replacement` gives one. What was put in is not searched
 * in turn. Gives the number of modules replaced.
 */
export function replaceModules(
  root: Module,
  replacement: (module: Module, name: string) => Module | undefined,
): number {
  const names = new Map([...root.namedModules()].map(([name, module]) => [module, name]));
  const visit = (module: Module): number => {
    let count = 0;
    for (const { holder, key, child } of slots(module)) {
      const other = replacement(child, names.get(child)!);
      if (other) holder[key] = other;
      count += other ? 1 : visit(child);
    }
    return count;
  };
  return visit(root);
}

/**
 * Puts a module in the place of every transformer block; `index` counts from the first.
 * @throws UsageError where the model has none
 */
export function replaceBlocks(model: Module, replacement: (block: TransformerBlock, index: number) => Module): void {
  const blocks: Module[] = findBlocks(model);
  replaceModules(model, (module) => {
    const index = blocks.indexOf(module);
    return index < 0 ? undefined : replacement(module as TransformerBlock, index);
  });
}

/** The transformer blocks of a model in order. @throws UsageError where it has none */
export function findBlocks(model: Module): TransformerBlock[] {
  const blocks = [...model.namedModules()].map(([, module]) => module).filter(isTransformerBlock);
  if (blocks.length === 0) throw new UsageError(`${model.constructor.name} has no transformer blocks to tune.`);
  return blocks;
}

/**
 * Puts another classifier in the place of the linear layer of the head.
 * @throws UsageError where there is none
 */
export function replaceHead(model: Module, replacement: (head: Linear) => Module): void {
  const replaced = replaceModules(model, (module, name) =>
    module instanceof Linear && isHead(`${name}.`) ? replacement(module) : undefined,
  );
  if (replaced === 0) throw new UsageError(`This ${model.constructor.name} has no head: its numClasses is 0.`);
}

/** Gives a module another child, a property like those it was made with. @throws UsageError where the name is taken */
export function attach(module: Module, property: string, child: Module): void {
  if (property in module) throw new UsageError(`${module.constructor.name} has a property ${property} already.`);
  Object.assign(module, { [property]: child });
}

/** Whether a name belongs to the classifier. */
export const isHead = (name: string): boolean => name.startsWith('head.');

/**
 * Marks as trainable exactly the parameters whose name satisfies `which`, and as fixed every other one and the buffers
 * beside them.
 * @throws UsageError where nothing would train
 */
export function trainOnly(model: Module, which: (name: string) => boolean): void {
  model.setTrainable(which);
  for (const [name, buffer] of model.namedBuffers()) buffer.frozen = !which(name);
  if (model.trainableParameters().size === 0) {
    throw new UsageError(`Nothing of this ${model.constructor.name} would train: it has no head (numClasses is 0).`);
  }
}
