// config.json of a model that timm has put on the hub: which architecture it is and how its images were prepared
// (timm/models/_hub.py).
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CheckpointError } from '../errors.js';
import { pair } from '../nn/index.js';

/** How images are prepared for a model. */
export interface Preprocess {
  /** Of each channel, for values in 0 … 1. */
  mean: number[];
  std: number[];
  /** Height and width in pixels that the model takes. */
  size: [number, number];
  interpolation: string;
  /** The share of the resized image's shorter side that the central crop keeps. */
  cropPct: number;
}

/** What a model is, in our terms. */
export interface TimmModel {
  architecture: string;
  /** Settings of the architecture. */
  settings: Record<string, unknown>;
  numClasses: number;
  /** Names of the modules that make logits, of which the weights depend on the classes. */
  classifiers: string[];
  preprocess: Preprocess;
}

const count = z.int().positive();
const classes = z.int().min(0);
const pretrained = z.looseObject({
  input_size: z.tuple([count, count, count]).default([3, 224, 224]),
  interpolation: z.string().default('bicubic'),
  crop_pct: z.number().positive().nullish(),
  mean: z.array(z.number()).nonempty().default([0.485, 0.456, 0.406]),
  std: z.array(z.number()).nonempty().default([0.229, 0.224, 0.225]),
  num_classes: classes.optional(),
  classifier: z.union([z.string(), z.array(z.string())]).nullish(),
});
const timmFile = z.looseObject({
  architecture: z.string(),
  num_classes: classes.optional(),
  model_args: z
    .looseObject({
      num_classes: classes.optional(),
      img_size: z.union([count, z.tuple([count, count])]).nullish(),
    })
    .default({}),
  pretrained_cfg: pretrained.optional(),
});

/** Reads config.json; `repo` is for messages. @throws CheckpointError where it is not one of timm's */
export function readTimmConfig(file: string, repo: string): TimmModel {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CheckpointError(`config.json of ${repo} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const config = parse(timmFile, json, repo);
  // older files have everything in one object
  const cfg = config.pretrained_cfg ?? parse(pretrained, json, repo);
  const { img_size: imgSize, num_classes: argClasses, ...args } = config.model_args;
  const [channels, height, width] = cfg.input_size;
  const size = pair(imgSize ?? [height, width]);
  return {
    architecture: config.architecture,
    settings: { inChans: channels, imgSize: size, ...camelCased(args) },
    numClasses: argClasses ?? config.num_classes ?? cfg.num_classes ?? 1000,
    classifiers: [cfg.classifier ?? 'head'].flat(),
    preprocess: {
      mean: cfg.mean,
      std: cfg.std,
      size: [...size],
      interpolation: cfg.interpolation,
      cropPct: cfg.crop_pct ?? 0.875,
    },
  };
}

function parse<T>(schema: z.ZodType<T>, json: unknown, repo: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new CheckpointError(
    `config.json of ${repo} is not one that timm writes: ${z.prettifyError(parsed.error)}. Models of timm are read, such as timm/vit_base_patch16_224.augreg_in21k.`,
  );
}

/** Arguments of timm as settings of ours: other case, and null where we leave out. */
function camelCased(args: Record<string, unknown>): Record<string, unknown> {
  const set = Object.entries(args).filter(([, value]) => value !== null);
  return Object.fromEntries(
    set.map(([name, value]) => [name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]),
  );
}
