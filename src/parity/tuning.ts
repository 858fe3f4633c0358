// Runners of the fixture kinds that tune a model.
import { z } from 'zod';
import { tf, valueAndGradients } from '../engine/index.js';
import { SwinTransformer, VisionTransformer } from '../models/index.js';
import { ForwardContext, type Module } from '../nn/index.js';
import { applyTuning, Mona, MonaOp, mergeLora } from '../tuning/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import type { Checker } from './check.js';
import { initSpec } from './initSpec.js';
import { checkTensor, meanSquare, runClassifier, toImages, toStateDict, toTensor } from './modelRun.js';
import { plainConfig, plainSchema, ratioFor } from './models/shared.js';
import { originalSwinConfig } from './models/swin.js';
import { vitConfig, vitSchema } from './models.js';
import { paramCounts } from './paramCounts.js';
import { splitProjections } from './splitProjection.js';

const adaptFormerSchema = plainSchema.extend({
  mlp_ratio: z.number().default(4),
  bottleneck: z.number(),
  qkv_bias: z.boolean().default(false),
  norm_eps: z.number().default(1e-5),
});

/** The write-up's AdaptFormer on the ViT of a case. */
export function adaptFormerOf(parityCase: ParityCase): VisionTransformer {
  const config = parityCase.config(adaptFormerSchema);
  const freeze = parityCase.spec.frozen.length > 0;
  const { mlp_ratio: mlpRatio, qkv_bias: qkvBias, norm_eps: normEps } = config;
  const model = new VisionTransformer({ ...plainConfig(config), mlpRatio, qkvBias, normEps });
  applyTuning(model, 'adaptformer', { bottleneck: config.bottleneck, dropout: 0, freeze });
  return model;
}

const adaptFormer: CaseRunner = (parityCase, check) => {
  const model = adaptFormerOf(parityCase);
  checkTrainable(parityCase, check, model);
  return runClassifier(parityCase, check, model);
};

/** What the method trains is what the case trains. */
function checkTrainable(parityCase: ParityCase, check: Checker, model: Module, rename = (name: string) => name): void {
  const trained = [...model.trainableParameters().keys()].map(rename);
  check.equal('trainable parameters', trained.sort(), [...parityCase.spec.trainable].sort());
}

const plainMethod =
  (method: 'linear' | 'bitfit'): CaseRunner =>
  (parityCase, check) => {
    const model = new VisionTransformer(vitConfig(parityCase.config(vitSchema)));
    applyTuning(model, method);
    checkTrainable(parityCase, check, model);
    return runClassifier(parityCase, check, model);
  };

const officialSchema = plainSchema.extend({
  mlp_ratio: z.number().default(4),
  bottleneck: z.number(),
  scale: z.union([z.string(), z.number()]),
  layernorm: z.enum(['none', 'in', 'out']).default('none'),
  option: z.enum(['parallel', 'sequential']).default('parallel'),
  global_pool: z.boolean().default(false),
  bn_head: z.boolean().default(false),
  norm_eps: z.number().default(1e-6),
});

const adaptFormerOfficial: CaseRunner = (parityCase, check) => {
  const config = parityCase.config(officialSchema);
  const { mlp_ratio: mlpRatio, norm_eps: normEps } = config;
  const globalPool = config.global_pool ? 'avg' : 'token';
  const model = new VisionTransformer({ ...plainConfig(config), mlpRatio, normEps, globalPool });
  splitProjections(model, ['q_proj', 'k_proj', 'v_proj']);
  applyTuning(model, 'adaptformer-official', {
    bottleneck: config.bottleneck,
    placement: config.option,
    scale: config.scale === 'learnable_scalar' ? 'learnable' : Number(config.scale),
    layerNorm: config.layernorm,
    dropout: 0,
    batchNormHead: config.bn_head,
  });
  const rename = (name: string) => name.replace('.attn.qkv.', '.attn.').replace('.mlp.fc', '.fc');
  checkTrainable(parityCase, check, model, rename);
  return runClassifier(parityCase, check, model, { rename });
};

const loraSchema = vitSchema.extend({
  targets: z.array(z.string()),
  r: z.number(),
  alpha: z.number(),
  use_rslora: z.boolean().default(false),
});

const lora: CaseRunner = async (parityCase, check) => {
  const config = parityCase.config(loraSchema);
  const build = () => {
    const model = new VisionTransformer(vitConfig(config));
    const { targets, r, alpha, use_rslora: rsLora } = config;
    applyTuning(model, 'lora', { targets, r, alpha, rsLora });
    return model;
  };
  const merged = build();
  merged.loadStateDict(toStateDict(parityCase.tensors('weights')));
  mergeLora(merged);
  for (const [name, tensor] of Object.entries(merged.stateDict())) {
    if (`merged.${name}` in parityCase.tensors('expected')) await checkTensor(check, `merged.${name}`, tensor);
  }
  merged.dispose();
  const model = build();
  checkTrainable(parityCase, check, model);
  return runClassifier(parityCase, check, model);
};

const vptSchema = plainSchema.extend({
  hidden: z.number(),
  prompts: z.number(),
  deep: z.boolean().default(false),
  project: z.number().default(-1),
  norm_eps: z.number().default(1e-6),
});

/** The names of Jia et al.'s code. */
export function vptName(name: string): string {
  const inBlock: readonly [RegExp, string][] = [
    [/^norm1\./, 'attention_norm.'],
    [/^norm2\./, 'ffn_norm.'],
    [/^mlp\./, 'ffn.'],
    [/^attn\.qkv\./, 'attn.'],
    [/^attn\.proj\./, 'attn.out.'],
  ];
  const rules: readonly [RegExp, string][] = [
    [/^head\./, 'head.last_layer.'],
    [/^prompts\.embeddings$/, 'enc.transformer.prompt_embeddings'],
    [/^prompts\.deep_embeddings\.0$/, 'enc.transformer.deep_prompt_embeddings'],
    [/^prompts\.proj\./, 'enc.transformer.prompt_proj.'],
    [/^cls_token$/, 'enc.transformer.embeddings.cls_token'],
    [/^pos_embed$/, 'enc.transformer.embeddings.position_embeddings'],
    [/^patch_embed\.proj\./, 'enc.transformer.embeddings.patch_embeddings.'],
    [/^norm\./, 'enc.transformer.encoder.encoder_norm.'],
  ];
  const block = /^blocks\.(\d+)\.(.*)$/.exec(name);
  if (block) return `enc.transformer.encoder.layer.${block[1]}.${replaceFirst(block[2]!, inBlock)}`;
  return replaceFirst(name, rules);
}

function replaceFirst(name: string, rules: readonly (readonly [RegExp, string])[]): string {
  const rule = rules.find(([pattern]) => pattern.test(name));
  return rule ? name.replace(rule[0], rule[1]) : name;
}

/** The prompted ViT of a case; its parameters are the case's by `vptName`. */
export function vptOf(parityCase: ParityCase): VisionTransformer {
  const config = parityCase.config(vptSchema);
  const mlpRatio = ratioFor(config.hidden, config.dim);
  const model = new VisionTransformer({ ...plainConfig(config), mlpRatio, normEps: config.norm_eps });
  splitProjections(model, ['query', 'key', 'value']);
  const project = config.project > 0 ? { project: config.project } : {};
  applyTuning(model, 'vpt', { numTokens: config.prompts, deep: config.deep, ...project });
  return model;
}

const vpt: CaseRunner = (parityCase, check) => {
  const model = vptOf(parityCase);
  checkTrainable(parityCase, check, model, vptName);
  return runClassifier(parityCase, check, model, { rename: vptName });
};

const monaOp: CaseRunner = (parityCase, check) => {
  const { channels } = parityCase.config(z.looseObject({ channels: z.number() }));
  const image = toImages(parityCase.tensors('inputs')['x']!);
  return runLayer(parityCase, check, new MonaOp(channels), image, (y) => tf.transpose(y, [0, 3, 1, 2]));
};

const monaSchema = z.looseObject({ dim: z.number(), inner: z.number(), hw: z.tuple([z.number(), z.number()]) });

const mona: CaseRunner = (parityCase, check) => {
  const { dim, inner, hw } = parityCase.config(monaSchema);
  const model = new Mona(dim, { inner, layout: () => ({ prefix: 0, grid: hw }) });
  return runLayer(parityCase, check, model, toTensor(parityCase.tensors('inputs')['x']!), (y) => y);
};

/** A layer alone with the mean of its squared result as loss. `asFile` brings images to the layout of the files. */
async function runLayer(
  parityCase: ParityCase,
  check: Checker,
  model: Module,
  input: tf.Tensor,
  asFile: (y: tf.Tensor) => tf.Tensor,
): Promise<void> {
  const { trainable, mode } = parityCase.spec;
  model.loadStateDict(toStateDict(parityCase.tensors('weights')));
  model.setTrainable((name) => trainable.includes(name)).train(mode === 'train');
  const x = tf.variable(input);
  const parameters = [...model.trainableParameters()];
  let y: tf.Tensor | undefined;
  const { value, gradients } = valueAndGradients(() => {
    const result = model.forward(x, new ForwardContext());
    y = tf.keep(result.clone());
    return meanSquare(result);
  }, [...parameters.map(([, parameter]) => parameter.value as tf.Tensor), x]);
  await checkTensor(check, 'y', asFile(y!));
  await checkTensor(check, 'loss', value);
  for (const [i, [name]] of parameters.entries()) await checkTensor(check, `grad.${name}`, gradients[i]!);
  await checkTensor(check, 'grad_input.x', asFile(gradients.at(-1)!));
}

/** Swin as a backbone with Mona, and its parameters' names in a case. */
export function swinMonaOf(parityCase: ParityCase): {
  model: SwinTransformer;
  rename: (name: string) => string;
  computed: string[];
} {
  const { mona: inner } = parityCase.config(z.looseObject({ mona: z.number() }));
  const model = new SwinTransformer({ ...originalSwinConfig(parityCase), stageNorms: true });
  applyTuning(model, 'mona', { inner, dropout: 0 });
  const weights = parityCase.tensors('weights');
  return { model, ...backboneNames(Object.keys(weights), model) };
}

/** The original puts the merging at the end of a stage, the model at the start of the next. */
function backboneNames(names: readonly string[], model: Module) {
  const rename = (name: string) => {
    if (name.startsWith('head.')) return name;
    const moved = name.replace(/^layers\.(\d+)\.downsample\./, (_, stage) => `layers.${Number(stage) - 1}.downsample.`);
    return `backbone.${moved}`;
  };
  const own = new Set([...model.namedParameters(), ...model.namedBuffers()].map(([name]) => rename(name)));
  const computed = names.filter((name) => !own.has(name) && /\.(relative_position_index|attn_mask)$/.test(name));
  return { rename, computed };
}

const swinMona: CaseRunner = (parityCase, check) => {
  const { model, rename, computed } = swinMonaOf(parityCase);
  checkTrainable(parityCase, check, model, rename);
  return runClassifier(parityCase, check, model, {
    rename,
    computed,
    forward: (image, context) => {
      const stages = model.forwardStages(image, context);
      for (const [i, map] of stages.entries()) context.tap?.(`stage${i}`, tf.transpose(map, [0, 3, 1, 2]));
      return model.classify(stages.at(-1)!, context);
    },
  });
};

export const tuningKinds: Record<string, CaseRunner> = {
  'linear-probe': plainMethod('linear'),
  bitfit: plainMethod('bitfit'),
  'adaptformer-seed': adaptFormer,
  'adaptformer-official': adaptFormerOfficial,
  lora,
  vpt,
  'mona-op': monaOp,
  mona,
  'swin-mona': swinMona,
  'param-counts': paramCounts,
  'init-spec': initSpec,
};
