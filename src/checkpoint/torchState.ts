// Finding the state dict in what a PyTorch file holds.
import { CheckpointError } from '../errors.js';
import { wordFor } from '../pickle/index.js';
import { type TensorData, type TensorRecord, tensorRecord } from './tensorData.js';

/** Under which keys training scripts keep the weights, in the order of preference. */
const usualKeys = ['state_dict', 'model_state_dict', 'model', 'module', 'net', 'network', 'params', 'weights'];
/** Containers deeper than this are not looked into. */
const maxDepth = 32;
/** Containers may share others, so that a small file can spell out without end; this many values are listed. */
const maxVisits = 1_000_000;

/** Whether a value of a PyTorch file is a tensor. */
export function isTensor(value: unknown): value is TensorData {
  return typeof value === 'object' && value !== null && 'dtype' in value && 'shape' in value && 'data' in value;
}

/** A state dict and where it was. */
export interface FoundState {
  tensors: TensorRecord;
  /** The keys to it, joined by `/`; empty for the top of the file. */
  path: string;
}

/**
 * The tensors of a model in a PyTorch file: the top dictionary, or the one under a usual key (`state_dict`, `model`, …).
 * A file that is one tensor gives the name `_`. Throws CheckpointError when there is no such dictionary.
 */
export function findStateDict(value: unknown): FoundState {
  const found = lookForStateDict(value);
  if (found) return found;
  const keys =
    value instanceof Map ? `its keys are ${[...value.keys()].slice(0, 10).map(wordFor).join(', ')}` : 'it is a list';
  throw new CheckpointError(`The file holds no dictionary of tensors where one is expected (${keys}).`);
}

/** The same, or undefined when there is no such dictionary. */
export function lookForStateDict(value: unknown): FoundState | undefined {
  if (isTensor(value)) return { tensors: tensorRecord([['_', value]]), path: '' };
  return value instanceof Map ? search(value, '', new Set()) : undefined;
}

function search(map: ReadonlyMap<unknown, unknown>, path: string, seen: Set<unknown>): FoundState | undefined {
  const tensors = [...map].filter((entry): entry is [string, TensorData] => isTensor(entry[1]));
  if (tensors.length > 0)
    return { tensors: tensorRecord(tensors.map(([key, tensor]) => [wordFor(key), tensor])), path };
  seen.add(map);
  for (const key of usualKeys) {
    const inner = map.get(key);
    if (!(inner instanceof Map) || seen.has(inner) || seen.size > maxDepth) continue;
    const found = search(inner, path ? `${path}/${key}` : key, seen);
    if (found) return found;
  }
  return undefined;
}

/**
 * Every tensor and every other leaf of a PyTorch file, by keys joined with `/`. Throws CheckpointError when there are
 * too many to list.
 */
export function* leaves(value: unknown): Generator<[string, unknown]> {
  yield* below(value, '', [], { visits: 0 });
}

function* below(
  value: unknown,
  path: string,
  outer: readonly unknown[],
  budget: { visits: number },
): Generator<[string, unknown]> {
  if (++budget.visits > maxVisits) throw new CheckpointError(`The file spells out to more than ${maxVisits} values.`);
  if (!(value instanceof Map) && !Array.isArray(value)) yield [path, value];
  else if (outer.includes(value) || outer.length > maxDepth) yield [path, '(more)'];
  else {
    for (const [key, entry] of value.entries()) {
      yield* below(entry, path ? `${path}/${wordFor(key)}` : wordFor(key), [...outer, value], budget);
    }
  }
}
