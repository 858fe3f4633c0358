// The runner of the parameter counts: models as their descriptions in words and configurations say, counted.
import { z } from 'zod';
import { DataError } from '../errors.js';
import { MocoViT, SwinTransformer, VisionTransformer } from '../models/index.js';
import type { Module } from '../nn/index.js';
import { applyTuning, countParameters, Mona } from '../tuning/index.js';
import type { CaseRunner } from './case.js';
import { ratioFor } from './models/shared.js';

const configSchema = z.record(
  z.string(),
  z.object({ config: z.record(z.string(), z.unknown()), total: z.number(), trainable: z.number() }),
);

const count = z.number();

/** The number of classes, which stands in the configuration or in the description. */
const classesOf = (config: { classes?: number | undefined }, description: string): number =>
  config.classes ?? Number(/(\d+) classes/.exec(description)?.[1] ?? 0);

interface Family {
  /** The beginning of its descriptions. */
  prefix: string;
  build(config: unknown, description: string): Module;
}

const vitFields = {
  img: count.default(224),
  patch: count.default(16),
  dim: count,
  depth: count,
  heads: count,
  classes: count.optional(),
};

const vit = (config: { img: number; patch: number; dim: number; depth: number; heads: number }) => ({
  imgSize: config.img,
  patchSize: config.patch,
  embedDim: config.dim,
  depth: config.depth,
  numHeads: config.heads,
});

const FAMILIES: readonly Family[] = [
  {
    prefix: 'adaptformer-seed',
    build(config, description) {
      const parsed = z.object({ ...vitFields, bottleneck: count }).parse(config);
      const model = new VisionTransformer({
        ...vit(parsed),
        numClasses: classesOf(parsed, description),
        qkvBias: false,
      });
      applyTuning(model, 'adaptformer', { bottleneck: parsed.bottleneck, freeze: !/nothing frozen/.test(description) });
      return model;
    },
  },
  {
    prefix: 'vpt-',
    build(config, description) {
      const schema = { ...vitFields, hidden: count, prompts: count, deep: z.boolean().default(false) };
      const parsed = z.object({ ...schema, project: count.default(-1) }).parse(config);
      const mlpRatio = ratioFor(parsed.hidden, parsed.dim);
      const model = new VisionTransformer({ ...vit(parsed), mlpRatio, numClasses: classesOf(parsed, description) });
      const project = parsed.project > 0 ? { project: parsed.project } : {};
      applyTuning(model, 'vpt', { numTokens: parsed.prompts, deep: parsed.deep, ...project });
      return model;
    },
  },
  {
    prefix: 'swin',
    build(config, description) {
      const lists = { depths: z.array(count), heads: z.array(count) };
      const sizes = { patch: count, dim: count, window: count, mona: count.optional(), classes: count.optional() };
      const parsed = z.object({ ...sizes, ...lists }).parse(config);
      const model = new SwinTransformer({
        patchSize: parsed.patch,
        embedDim: parsed.dim,
        depths: parsed.depths,
        numHeads: parsed.heads,
        windowSize: parsed.window,
        numClasses: classesOf(parsed, description),
        // as a backbone, which is what Mona was published with
        stageNorms: parsed.mona !== undefined,
      });
      if (parsed.mona !== undefined) applyTuning(model, 'mona', { inner: parsed.mona });
      return model;
    },
  },
  {
    prefix: 'mona alone',
    build(config) {
      const { dim, inner } = z.object({ dim: count, inner: count }).parse(config);
      return new Mona(dim, { inner });
    },
  },
  {
    prefix: 'moco',
    build(config, description) {
      const parsed = z.object({ ...vitFields, stem: z.enum(['patch', 'conv']).default('patch') }).parse(config);
      return new MocoViT({ ...vit(parsed), stem: parsed.stem, numClasses: classesOf(parsed, description) });
    },
  },
];

export const paramCounts: CaseRunner = (parityCase, check) => {
  for (const [description, { config, total, trainable }] of Object.entries(parityCase.config(configSchema))) {
    const family = FAMILIES.find(({ prefix }) => description.startsWith(prefix));
    if (!family) throw new DataError(`No known model is described as ${JSON.stringify(description)}.`);
    check.equal(description, countParameters(family.build(config, description)), { total, trainable });
  }
};
