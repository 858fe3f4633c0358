// Runners of the fixture kinds of checkpoint files and position embeddings; none of them needs an engine.
import { z } from 'zod';
import {
  fitState,
  float32,
  type GridInterpolation,
  interpolateEmbeddings,
  isTensor,
  loadTorch,
  readSafetensors,
  requireMocoGrid,
  resampleTimm,
  SafetensorsFile,
  type TensorData,
  tensorRecord,
  toFloat64,
  zoomVpt,
} from '../checkpoint/index.js';
import { CheckpointError, VitlabError } from '../errors.js';
import { Tuple } from '../pickle/index.js';
import type { CaseRunner } from './case.js';
import type { Checker } from './check.js';

/** A value of a PyTorch file as case.json describes it. */
type Structure =
  | { tensor: string; dtype: string; shape: number[] }
  | { map: string; items: Array<[string | number, Structure]> }
  | { list: string; items: Structure[] }
  | { bigint: string }
  | { value: unknown };

const pth: CaseRunner = async (parityCase, check) => {
  const { structure } = parityCase.config(z.looseObject({ structure: z.custom<Structure>() }));
  checkStructure(check, '', await loadTorch(parityCase.path(parityCase.spec.files[0]!)), structure);
};

function checkStructure(check: Checker, path: string, got: unknown, expected: Structure): void {
  const name = path || '_';
  const below = (key: string | number) => (path === '' ? String(key) : `${path}/${key}`);
  if ('tensor' in expected) {
    if (!isTensor(got)) {
      check.fail(name, 'is not a tensor');
      return;
    }
    check.equal(`${name} type`, [got.dtype, got.shape], [expected.dtype, expected.shape]);
    check.close(expected.tensor || '_', got);
  } else if ('map' in expected) {
    const map = got instanceof Map ? got : new Map<unknown, unknown>();
    const keys = expected.items.map(([key]) => key);
    check.equal(`${name} keys`, [...map.keys()], keys);
    for (const [key, item] of expected.items) checkStructure(check, below(key), map.get(key), item);
  } else if ('list' in expected) {
    const list = Array.isArray(got) ? (got as unknown[]) : [];
    check.equal(`${name} is a tuple`, got instanceof Tuple, expected.list === 'tuple');
    check.equal(`${name} length`, list.length, expected.items.length);
    for (const [i, item] of expected.items.entries()) checkStructure(check, below(i), list[i], item);
  } else if ('bigint' in expected) check.equal(name, got, BigInt(expected.bigint));
  else check.equal(name, got, expected.value);
}

const entrySchema = z.looseObject({
  file: z.string(),
  /** `refuse` and `accept` are demands, anything else leaves the choice. */
  must: z.string(),
  reason: z.string().default(''),
  // Read as it is: a record schema would lose the name __proto__.
  values: z.custom<Record<string, unknown>>().optional(),
});
type Entry = z.output<typeof entrySchema>;

/** Each file of a manifest must be read or refused as it says; a refusal is the typed error and nothing else. */
function refusals<T>(
  read: (path: string) => T | Promise<T>,
  checkValues: (check: Checker, entry: Entry, got: T) => void,
): CaseRunner {
  return async (parityCase, check) => {
    for (const entry of parityCase.config(z.looseObject({ manifest: z.array(entrySchema) })).manifest) {
      const { file, must } = entry;
      let got: T;
      try {
        got = await read(parityCase.path(file));
      } catch (error) {
        check.equal(`${file} error type`, error instanceof CheckpointError, true);
        if (must === 'accept') check.fail(file, `was refused: ${(error as Error).message}`);
        continue;
      }
      if (must === 'refuse') check.fail(file, 'was read, but must be refused');
      else checkValues(check, entry, got);
    }
  };
}

/** A control holds tensors; the reason may spell them out as a Python dictionary of lists. */
function checkControl(check: Checker, { file, must, reason }: Entry, got: unknown): void {
  if (must !== 'accept') return;
  const tensors = got instanceof Map ? [...got].filter((item): item is [string, TensorData] => isTensor(item[1])) : [];
  check.equal(`${file} holds tensors`, tensors.length > 0, true);
  const [, spelled] = /^control: (\{.*\})$/.exec(reason) ?? [];
  if (spelled === undefined) return;
  const values = Object.fromEntries(tensors.map(([name, tensor]) => [name, nested(tensor)]));
  check.equal(`${file} values`, values, JSON.parse(spelled.replaceAll("'", '"')));
}

function checkRecord(
  check: Checker,
  { file, values = {} }: Pick<Entry, 'file' | 'values'>,
  got: Record<string, TensorData>,
): void {
  check.equal(`${file} names`, Object.keys(got).sort(), Object.keys(values).sort());
  const expected = new Map(Object.entries(values));
  for (const [name, tensor] of Object.entries(got)) check.equal(`${file} ${name}`, nested(tensor), expected.get(name));
}

/** The elements as nested arrays, 64-bit integers as decimal text, booleans as such. */
function nested({ dtype, shape, data }: TensorData): unknown {
  const element = (value: number | bigint) =>
    typeof value === 'bigint' ? String(value) : dtype === 'bool' ? value !== 0 : value;
  const flat: unknown[] = Array.from(typeof data[0] === 'bigint' ? data : toFloat64({ dtype, shape, data }), element);
  return (
    shape.reduceRight<unknown[]>(
      (items, side) =>
        side === 0 ? [] : Array.from({ length: items.length / side }, (_, i) => items.slice(i * side, (i + 1) * side)),
      flat,
    )[0] ?? []
  );
}

const safetensorsDtypes: CaseRunner = (parityCase, check) => {
  const schema = z.looseObject({
    values: z.record(z.string(), z.unknown()),
    metadata: z.record(z.string(), z.string()),
  });
  const { values, metadata } = parityCase.config(schema);
  const path = parityCase.path(parityCase.spec.files[0]!);
  checkRecord(check, { file: 'file', values }, readSafetensors(path));
  const file = SafetensorsFile.open(path);
  check.equal('metadata', { ...file.metadata }, metadata);
  file.close();
};

const grid = z.tuple([z.number(), z.number()]);
const mode = z.enum(['bicubic', 'bilinear']);

const posembedTimm: CaseRunner = (parityCase, check) => {
  const item = z.looseObject({
    key: z.string(),
    old: grid,
    new: grid,
    prefix_tokens: z.number(),
    interpolation: mode,
    antialias: z.boolean(),
  });
  for (const { key, old, new: newGrid, prefix_tokens, interpolation, antialias } of parityCase.config(
    z.looseObject({ items: z.array(item) }),
  ).items) {
    check.close(
      key,
      resampleTimm(parityCase.tensors('inputs')[key]!, {
        oldGrid: old,
        newGrid,
        prefixTokens: prefix_tokens,
        interpolation,
        antialias,
      }),
    );
  }
};

const posembedVpt: CaseRunner = (parityCase, check) => {
  for (const [from, to] of parityCase.config(z.looseObject({ items: z.array(grid) })).items) {
    check.close(`${from}to${to}`, zoomVpt(parityCase.tensors('inputs')[`${from}to${to}`]!, to));
  }
};

const posEmbedName = 'encoder.pos_embedding';

const posembedTorchvision: CaseRunner = (parityCase, check) => {
  const common = { image_size: z.number(), patch_size: z.number(), interpolation_mode: z.string() };
  const item = z.looseObject({ ...common, key: z.string(), reset_heads: z.boolean(), keys_after: z.array(z.string()) });
  const failing = z.looseObject({ ...common, kind: z.string(), input: z.string().nullable() });
  const { items, errors } = parityCase.config(z.looseObject({ items: z.array(item), errors: z.array(failing) }));
  const inputs = parityCase.tensors('inputs');
  const state = tensorRecord(Object.entries(inputs).filter(([name]) => !name.startsWith('bad.')));
  for (const { key, image_size, patch_size, interpolation_mode, reset_heads, keys_after } of items) {
    const options = {
      imageSize: image_size,
      patchSize: patch_size,
      interpolationMode: interpolation_mode as GridInterpolation,
    };
    const after = interpolateEmbeddings(state, { ...options, resetHeads: reset_heads });
    check.equal(`${key} names`, Object.keys(after).sort(), [...keys_after].sort());
    check.close(`${key}/${posEmbedName}`, after[posEmbedName]!);
    for (const name of keys_after) if (name !== posEmbedName) check.equal(`${key} ${name}`, after[name], state[name]);
  }
  for (const { kind, input, image_size, patch_size, interpolation_mode } of errors) {
    const bad = input === null ? tensorRecord() : tensorRecord([[posEmbedName, inputs[input]!]]);
    const options = {
      imageSize: image_size,
      patchSize: patch_size,
      interpolationMode: interpolation_mode as GridInterpolation,
    };
    check.equal(
      kind,
      refuses(() => interpolateEmbeddings(bad, options)),
      true,
    );
  }
};

/** MoCo's table is never resampled: an embedding of another grid is refused, one of the same grid is left alone. */
const posembedMoco: CaseRunner = (_parityCase, check) => {
  const posEmbed = float32(
    Array.from({ length: 17 * 4 }, (_, i) => Math.sin(i)),
    [1, 17, 4],
  );
  check.equal('same grid', requireMocoGrid(posEmbed, [4, 4]), posEmbed);
  check.equal(
    'another grid',
    refuses(() => requireMocoGrid(posEmbed, [5, 5])),
    true,
  );
  const load = () =>
    fitState(
      tensorRecord([['pos_embed', posEmbed]]),
      { pos_embed: [1, 26, 4] },
      { grid: [5, 5], posEmbed: 'computed' },
    );
  check.equal('loading into another grid', refuses(load), true);
};

function refuses(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (error instanceof VitlabError) return true;
    throw error;
  }
}

export const checkpointKinds: Record<string, CaseRunner> = {
  pth,
  'refuse-pth': refusals((path) => loadTorch(path), checkControl),
  'safetensors-dtypes': safetensorsDtypes,
  'refuse-safetensors': refusals(readSafetensors, checkRecord),
  'posembed-timm': posembedTimm,
  'posembed-torchvision': posembedTorchvision,
  'posembed-vpt': posembedVpt,
  'posembed-moco': posembedMoco,
};
