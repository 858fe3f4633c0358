// The runner of the initialisation cases: freshly built models, and whether each parameter is distributed as stated.
import { z } from 'zod';
import { readable } from '../engine/index.js';
import { DataError } from '../errors.js';
import { MocoViT, SwinTransformer, VisionTransformer, type ViTConfig } from '../models/index.js';
import { LayerNorm, Linear, type Module } from '../nn/index.js';
import { Mona, tune } from '../tuning/index.js';
import type { CaseRunner } from './case.js';
import type { Checker } from './check.js';

const distributionSchema = z.object({
  distribution: z.enum(['uniform', 'normal', 'truncated normal', 'constant']),
  value: z.number().optional(),
  low: z.number().optional(),
  high: z.number().optional(),
  std: z.number().optional(),
  /** Where a truncated normal is cut, in words. */
  cut: z.string().optional(),
});

type Distribution = z.infer<typeof distributionSchema>;

const sectionSchema = z.object({
  dims: z.record(z.string(), z.number()),
  parameters: z.record(z.string(), distributionSchema),
});

type Dims = Record<string, number>;

const SEED = 20_24;

/** A ViT of a section's sizes, with enough of everything for statistics. */
const vitOf = (dims: Dims, classes = 100): Partial<ViTConfig> => ({
  imgSize: 64,
  patchSize: dims['patch'] ?? 8,
  embedDim: dims['dim'] ?? dims['in'] ?? 64,
  depth: 12,
  numHeads: 2,
  numClasses: dims['classes'] ?? classes,
});

/** The models of a section; `note` is what stands in parentheses behind a parameter. */
const MODELS: Readonly<Record<string, (dims: Dims, note: string) => Module>> = {
  'moco-v3': (dims) => {
    const mlpRatio = (dims['mlp'] ?? 256) / (dims['dim'] ?? 64);
    return new MocoViT({ ...vitOf(dims), mlpRatio }).initialize(SEED);
  },
  'adaptformer-seed': (dims) => {
    const model = new VisionTransformer({ ...vitOf(dims), clsTokenStd: 0.02 });
    tune(model, 'adaptformer', { bottleneck: dims['bottleneck'] ?? 8 }, { seed: SEED });
    return model;
  },
  'adaptformer-official': (dims) => {
    const model = new VisionTransformer(vitOf(dims));
    const options = { bottleneck: dims['bottleneck'] ?? 8, layerNorm: 'in', scale: 'learnable' } as const;
    tune(model, 'adaptformer-official', { ...options, batchNormHead: false }, { seed: SEED });
    return model;
  },
  vpt: (dims, note) => {
    const model = new VisionTransformer(vitOf(dims));
    const project = /project=(\d+)/.exec(note)?.[1];
    const width = project === undefined ? {} : { project: Number(project) };
    tune(model, 'vpt', { numTokens: dims['prompts'] ?? 5, deep: true, ...width }, { seed: SEED });
    return model;
  },
  mona: (dims, note) => {
    const inner = dims['inner'] ?? 64;
    if (!/inside/.test(note)) return new Mona(dims['dim'] ?? 64, { inner }).initialize(SEED);
    const model = swinOf(dims);
    tune(model, 'mona', { inner }, { seed: SEED });
    return model;
  },
  lora: (dims) => {
    const model = new VisionTransformer(vitOf(dims));
    tune(model, 'lora', { r: dims['r'] ?? 4 }, { seed: SEED });
    return model;
  },
  'vit-timm': (dims) => new VisionTransformer(vitOf(dims)).initialize(SEED),
  swin: (dims) => swinOf(dims).initialize(SEED),
};

const swinOf = (dims: Dims): SwinTransformer =>
  new SwinTransformer({ imgSize: 56, embedDim: dims['dim'] ?? 64, depths: [2, 2], numHeads: [2, 4], numClasses: 100 });

/** Names of the cases that differ from the models'. */
const OWN_NAMES: Readonly<Record<string, string>> = {
  prompt_embeddings: 'prompts.embeddings',
  deep_prompt_embeddings: 'prompts.deep_embeddings.0',
  'prompt_proj.weight': 'prompts.proj.weight',
  'head.last_layer.weight': 'head.weight',
};

const namesOf = (model: Module, kind: new (...args: never[]) => Module, suffix: string): string[] =>
  [...model.namedModules()].flatMap(([name, module]) => (module instanceof kind ? [`${name}.${suffix}`] : []));

/** Groups of parameters in words. */
const GROUPS: readonly [RegExp, (model: Module) => string[]][] = [
  [/^(every )?linear weights?$/i, (model) => namesOf(model, Linear, 'weight')],
  [/^(linear biases|\*\.bias)$/, (model) => namesOf(model, Linear, 'bias')],
  [/^norm weights$/, (model) => namesOf(model, LayerNorm, 'weight')],
  [/^norm biases$/, (model) => namesOf(model, LayerNorm, 'bias')],
  [/^learnable scale$/, (model) => parameterNames(model).filter((name) => name.endsWith('.scale'))],
  [/^project biases$/, (model) => parameterNames(model).filter((name) => /project[12]\.bias$/.test(name))],
];

const parameterNames = (model: Module): string[] => [...model.namedParameters()].map(([name]) => name);

/** The parameters that a name, a name with `*`, the end of a name or words for a group mean. */
function select(model: Module, pattern: string): string[] {
  const own = parameterNames(model);
  const group = GROUPS.find(([words]) => words.test(pattern));
  if (group) return group[1](model).filter((name) => own.includes(name));
  const name = OWN_NAMES[pattern] ?? pattern;
  const glob = name.replaceAll('.', '\\.').replaceAll('*', '.*');
  return own.filter((candidate) => RegExp(`^(.*\\.)?${glob}$`).test(candidate));
}

export const initSpec: CaseRunner = async (parityCase, check) => {
  const sections = z.record(z.string(), sectionSchema).parse(parityCase.spec['spec']);
  for (const [section, { dims, parameters }] of Object.entries(sections)) {
    const build = MODELS[section];
    if (!build) throw new DataError(`Nothing is known to be built for ${JSON.stringify(section)}.`);
    for (const [words, distribution] of Object.entries(parameters)) {
      const [, patterns, note = ''] = /^(.*?)(?: \((.*)\))?$/.exec(words)!;
      const model = build(dims, note);
      await readable([...model.namedParameters()].map(([, { value }]) => value));
      const values = new Map([...model.namedParameters()].map(([name, { value }]) => [name, value.dataSync()]));
      for (const pattern of patterns!.split(', ')) {
        const names = select(model, pattern);
        check.equal(`${section}/${pattern} exists`, names.length > 0, true);
        for (const name of names) checkValues(check, `${section}/${name}`, values.get(name)!, distribution);
      }
      model.dispose();
    }
  }
};

/** The statistics that enough entries must have. */
function checkValues(check: Checker, name: string, values: ArrayLike<number>, expected: Distribution): void {
  const numbers = Array.from(values);
  const { value, low, high, std, cut } = expected;
  if (value !== undefined) {
    check.equal(
      name,
      numbers.every((entry) => entry === Math.fround(value)),
      true,
    );
    return;
  }
  if (low !== undefined && high !== undefined) {
    const inside = numbers.every((entry) => entry >= Math.fround(low) && entry <= Math.fround(high));
    check.equal(`${name} is in its bounds`, inside, true);
    const largest = Math.max(...numbers.map(Math.abs));
    if (numbers.length >= 500) check.equal(`${name} reaches its bounds`, largest > 0.95 * high, true);
  }
  if (std === undefined || numbers.length < 500) return;
  const measured = Math.sqrt(numbers.reduce((sum, entry) => sum + entry * entry, 0) / numbers.length);
  const rtol = numbers.length >= 4096 ? 0.05 : 0.15;
  const nominal = Number(/nominal std ([\d.]+)/.exec(cut ?? '')?.[1] ?? Number.NaN);
  if (nominal > std) {
    // Versions of the framework cut at two deviations, which gives `std`, or far outside: both are right.
    const accepted = measured > std * (1 - rtol) && measured < nominal * (1 + rtol);
    check.equal(`${name} has the deviation ${measured}`, accepted, true);
    return;
  }
  check.value(`${name} deviation`, measured, std, { rule: 'element', atol: 0, rtol });
}
