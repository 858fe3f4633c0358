// Renaming by pairs of patterns that work in both directions: `{i}` is a number, `{2i+1}` one computed from it,
// `{p}` the rest of the name. A query-key-value rule joins three tensors on one side into one on the other.
import { CheckpointError } from '../errors.js';
import { elementCount, type TensorData, type TensorRecord, tensorRecord } from './tensorData.js';
import { stack } from './tensorOps.js';

export interface KeyRules {
  /** Pairs [timm's name, the other name]; the first that fits counts. */
  rename: ReadonlyArray<readonly [string, string]>;
  /** Pairs [timm's joined tensor, the three tensors of the other side]. */
  join?: ReadonlyArray<readonly [string, readonly [string, string, string]]>;
  /** Names of the other side that have no counterpart and are left out: buffers, other networks. */
  drop?: RegExp;
  /** Names of timm's side that have no counterpart and are left out. */
  dropFromTimm?: RegExp;
}

export interface Renamed {
  tensors: TensorRecord;
  /** Left out on purpose. */
  dropped: string[];
  /** Without a rule. */
  unknown: string[];
}

/** From the other side's names to timm's. */
export function toTimm(rules: KeyRules, state: Readonly<TensorRecord>): Renamed {
  const out = renamed();
  const joins = (rules.join ?? []).flatMap(([timm, parts]) => parts.map((part, at) => ({ timm, part, at })));
  const waiting = new Map<string, TensorData[]>();
  for (const [name, tensor] of Object.entries(state)) {
    if (rules.drop?.test(name)) {
      out.dropped.push(name);
      continue;
    }
    const part = joins.find((rule) => match(rule.part, name));
    if (part) {
      const target = fill(part.timm, match(part.part, name)!);
      const parts = waiting.get(target) ?? [];
      parts[part.at] = tensor;
      waiting.set(target, parts);
      if (Object.keys(parts).length === 3) out.tensors[target] = stack(parts);
      continue;
    }
    place(
      out,
      name,
      tensor,
      rules.rename.map(([timm, other]) => [other, timm]),
    );
  }
  for (const [target, parts] of waiting) if (Object.keys(parts).length < 3) out.unknown.push(`a part of ${target}`);
  return out;
}

/** From timm's names to the other side's. */
export function fromTimm(rules: KeyRules, state: Readonly<TensorRecord>): Renamed {
  const out = renamed();
  for (const [name, tensor] of Object.entries(state)) {
    const join = rules.join?.find(([timm]) => match(timm, name));
    if (rules.dropFromTimm?.test(name)) out.dropped.push(name);
    else if (join) {
      const values = match(join[0], name)!;
      for (const [at, part] of join[1].entries()) out.tensors[fill(part, values)] = third(name, tensor, at);
    } else place(out, name, tensor, rules.rename);
  }
  return out;
}

function renamed(): Renamed {
  return { tensors: tensorRecord(), dropped: [], unknown: [] };
}

function place(out: Renamed, name: string, tensor: TensorData, pairs: ReadonlyArray<readonly [string, string]>): void {
  for (const [from, to] of pairs) {
    const values = match(from, name);
    if (!values) continue;
    out.tensors[fill(to, values)] = tensor;
    return;
  }
  out.unknown.push(name);
}

const placeholder = /\{(\d*)([a-z])([+-]\d+)?\}/g;

/** The values of a pattern's placeholders in `name`, or undefined when it does not fit. */
function match(pattern: string, name: string): Map<string, string | number> | undefined {
  const found = new RegExp(`^${pattern.replace(/\./g, '\\.').replace(placeholder, groupOf)}$`).exec(name);
  if (!found) return undefined;
  const values = new Map<string, string | number>();
  for (const [at, [, factor, letter, shift]] of [...pattern.matchAll(placeholder)].entries()) {
    const text = found[at + 1]!;
    if (letter === 'p') values.set(letter, text);
    else {
      const value = (Number(text) - Number(shift ?? 0)) / Number(factor || 1);
      if (!Number.isInteger(value) || value < 0) return undefined;
      values.set(letter!, value);
    }
  }
  return values;
}

const groupOf = (_: string, _factor: string, letter: string): string => (letter === 'p' ? '([^]+)' : '(\\d+)');

function fill(pattern: string, values: Map<string, string | number>): string {
  return pattern.replace(placeholder, (_, factor: string, letter: string, shift?: string) => {
    const value = values.get(letter)!;
    return letter === 'p' ? String(value) : String(Number(factor || 1) * Number(value) + Number(shift ?? 0));
  });
}

/** One third of a tensor along its first axis. */
function third(name: string, tensor: TensorData, at: number): TensorData {
  if (!Number.isInteger(tensor.shape[0]! / 3)) {
    throw new CheckpointError(`${name} of shape [${tensor.shape}] does not fall into query, key and value.`);
  }
  const shape = [tensor.shape[0]! / 3, ...tensor.shape.slice(1)];
  const count = elementCount(shape)!;
  return { dtype: tensor.dtype, shape, data: tensor.data.slice(at * count, (at + 1) * count) };
}
