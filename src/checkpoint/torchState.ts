// Finding the state dict in what a PyTorch file holds.
import { CheckpointError } from '../errors.js';
import { type TensorData, type TensorRecord, tensorRecord } from './tensorData.js';

/** Under which keys training scripts keep the weights, in the order of preference. */
const usualKeys = ['state_dict', 'model_state_dict', 'model', 'module', 'net', 'network', 'params', 'weights'];
/** Containers deeper than this are not looked into. */
const maxDepth = 32;

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
  if (isTensor(value)) return { tensors: tensorRecord([['_', value]]), path: '' };
  const found = value instanceof Map ? search(value, '', 0) : undefined;
  if (found) return found;
  const keys = value instanceof Map ? `its keys are ${[...value.keys()].slice(0, 10).join(', ')}` : 'it is a list';
  throw new CheckpointError(`The file holds no dictionary of tensors where one is expected (${keys}).`);
}

function search(map: ReadonlyMap<unknown, unknown>, path: string, depth: number): FoundState | undefined {
  const tensors = [...map].filter((entry): entry is [string, TensorData] => isTensor(entry[1]));
  if (tensors.length > 0) return { tensors: tensorRecord(tensors.map(([key, tensor]) => [String(key), tensor])), path };
  if (depth > maxDepth) return undefined;
  for (const key of usualKeys) {
    const inner = map.get(key);
    const found = inner instanceof Map ? search(inner, path ? `${path}/${key}` : key, depth + 1) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Every tensor and every other leaf of a PyTorch file, by keys joined with `/`. */
export function* leaves(
  value: unknown,
  path = '',
  seen: ReadonlySet<unknown> = new Set(),
): Generator<[string, unknown]> {
  const isContainer = value instanceof Map || (Array.isArray(value) && !isTensor(value));
  if (!isContainer) {
    yield [path, value];
    return;
  }
  if (seen.has(value) || seen.size > maxDepth) {
    yield [path, seen.has(value) ? '(itself)' : '(deeper)'];
    return;
  }
  const inner = new Set(seen).add(value);
  for (const [key, entry] of value.entries()) yield* leaves(entry, path ? `${path}/${key}` : String(key), inner);
}
