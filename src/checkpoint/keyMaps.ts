// How the libraries that published vision transformers name their parameters, all told as renamings of timm's names.
import { few, UsageError } from '../errors.js';
import { fromTimm, type KeyRules, type Renamed, toTimm } from './keyRules.js';
import { isNpzViT, npzToTimm } from './npz.js';
import { type TensorRecord, tensorRecord } from './tensorData.js';

/** Buffers that models compute from their configuration. */
const swinBuffers = /(^|\.)(relative_position_index|relative_coords_table|attn_mask)$/;

/** Adds a prefix to the other side of every pair. */
function under(prefix: string, pairs: ReadonlyArray<readonly [string, string]>): Array<readonly [string, string]> {
  return pairs.map(([timm, other]) => [timm, prefix + other]);
}

const layer = 'encoder.layers.encoder_layer_{i}.';
const torchvisionViT: KeyRules = {
  rename: [
    ['cls_token', 'class_token'],
    ['pos_embed', 'encoder.pos_embedding'],
    ['patch_embed.proj.{p}', 'conv_proj.{p}'],
    ...under(layer, [
      ['blocks.{i}.norm1.{p}', 'ln_1.{p}'],
      ['blocks.{i}.attn.qkv.{p}', 'self_attention.in_proj_{p}'],
      ['blocks.{i}.attn.proj.{p}', 'self_attention.out_proj.{p}'],
      ['blocks.{i}.norm2.{p}', 'ln_2.{p}'],
      ['blocks.{i}.mlp.fc1.{p}', 'mlp.0.{p}'],
      ['blocks.{i}.mlp.fc2.{p}', 'mlp.3.{p}'],
      // As published before torchvision 0.15.
      ['blocks.{i}.mlp.fc1.{p}', 'mlp.linear_1.{p}'],
      ['blocks.{i}.mlp.fc2.{p}', 'mlp.linear_2.{p}'],
    ]),
    ['norm.{p}', 'encoder.ln.{p}'],
    ['pre_logits.fc.{p}', 'heads.pre_logits.{p}'],
    ['head.{p}', 'heads.head.{p}'],
  ],
};

const torchvisionSwin: KeyRules = {
  rename: [
    ['patch_embed.proj.{p}', 'features.0.0.{p}'],
    ['patch_embed.norm.{p}', 'features.0.2.{p}'],
    ['layers.{i}.blocks.{j}.mlp.fc1.{p}', 'features.{2i+1}.{j}.mlp.0.{p}'],
    ['layers.{i}.blocks.{j}.mlp.fc2.{p}', 'features.{2i+1}.{j}.mlp.3.{p}'],
    ['layers.{i}.blocks.{j}.{p}', 'features.{2i+1}.{j}.{p}'],
    ['layers.{i}.downsample.{p}', 'features.{2i}.{p}'],
    ['norm.{p}', 'norm.{p}'],
    ['head.fc.{p}', 'head.{p}'],
  ],
  drop: swinBuffers,
  dropFromTimm: swinBuffers,
};

/** microsoft/Swin-Transformer; timm counts a downsampling to the stage behind it, the original to the one before. */
const swin: KeyRules = {
  rename: [
    ['patch_embed.{p}', 'patch_embed.{p}'],
    ['layers.{i+1}.downsample.{p}', 'layers.{i}.downsample.{p}'],
    ['layers.{i}.blocks.{p}', 'layers.{i}.blocks.{p}'],
    ['norm.{p}', 'norm.{p}'],
    ['norm{i}.{p}', 'norm{i}.{p}'],
    ['absolute_pos_embed', 'absolute_pos_embed'],
    ['head.fc.{p}', 'head.{p}'],
  ],
  drop: swinBuffers,
  dropFromTimm: swinBuffers,
};

/** facebookresearch/moco-v3: only the backbone of the base encoder is a ViT; its head is the projector. */
const mocoV3: KeyRules = {
  rename: [
    ['{p}', 'module.base_encoder.{p}'],
    ['{p}', 'base_encoder.{p}'],
  ],
  drop: /^(module\.)?(base_encoder\.head|momentum_encoder\.|predictor\.)/,
  dropFromTimm: /^head\./,
};

/** ShoufaChen/AdaptFormer: a plain ViT with separate query, key and value, and the MLP's layers in the block. */
const adaptformer: KeyRules = {
  rename: [
    ['blocks.{i}.mlp.fc1.{p}', 'blocks.{i}.fc1.{p}'],
    ['blocks.{i}.mlp.fc2.{p}', 'blocks.{i}.fc2.{p}'],
    ['{p}', '{p}'],
  ],
  join: [
    [
      'blocks.{i}.attn.qkv.{p}',
      ['blocks.{i}.attn.q_proj.{p}', 'blocks.{i}.attn.k_proj.{p}', 'blocks.{i}.attn.v_proj.{p}'],
    ],
  ],
};

const vptLayer = 'enc.transformer.encoder.layer.{i}.';
/** KMnP/vpt, whose ViT follows jeonsworld/ViT-pytorch. */
const vpt: KeyRules = {
  rename: [
    ...under('enc.transformer.embeddings.', [
      ['cls_token', 'cls_token'],
      ['pos_embed', 'position_embeddings'],
      ['patch_embed.proj.{p}', 'patch_embeddings.{p}'],
    ]),
    ...under(vptLayer, [
      ['blocks.{i}.norm1.{p}', 'attention_norm.{p}'],
      ['blocks.{i}.attn.proj.{p}', 'attn.out.{p}'],
      ['blocks.{i}.norm2.{p}', 'ffn_norm.{p}'],
      ['blocks.{i}.mlp.fc1.{p}', 'ffn.fc1.{p}'],
      ['blocks.{i}.mlp.fc2.{p}', 'ffn.fc2.{p}'],
    ]),
    ...under('enc.transformer.', [
      ['norm.{p}', 'encoder.encoder_norm.{p}'],
      ['prompt_embeddings', 'prompt_embeddings'],
      ['deep_prompt_embeddings', 'deep_prompt_embeddings'],
      ['prompt_proj.{p}', 'prompt_proj.{p}'],
    ]),
    ['head.{p}', 'head.last_layer.{p}'],
  ],
  join: [
    ['blocks.{i}.attn.qkv.{p}', [`${vptLayer}attn.query.{p}`, `${vptLayer}attn.key.{p}`, `${vptLayer}attn.value.{p}`]],
  ],
};

const plain: KeyRules = { rename: [['{p}', '{p}']], drop: swinBuffers, dropFromTimm: swinBuffers };

/** The ways of naming that are known; `vitlab` names as timm does. */
export const namings = ['timm', 'torchvision', 'moco-v3', 'swin', 'adaptformer', 'vpt', 'vitlab'] as const;
export type Naming = (typeof namings)[number];

/** Names that only say how a model was wrapped. */
const wrappers = ['module.', 'backbone.', 'model.', '_orig_mod.'];

/**
 * How the names of a state dict are formed, looking past wrappers such as `module.`; `npz` is Google's. Undefined when
 * they are not those of a known transformer.
 */
export function detectNaming(names: readonly string[]): Naming | 'npz' | undefined {
  const inner = unwrap(names);
  const some = (pattern: RegExp) => inner.some((name) => pattern.test(name));
  if (isNpzViT(names)) return 'npz';
  if (some(/^base_encoder\./)) return 'moco-v3';
  if (some(/^encoder\.layers\.encoder_layer_\d+\./) || some(/^features\.0\.0\.weight$/)) return 'torchvision';
  if (some(/^enc\.transformer\./)) return 'vpt';
  if (some(/^blocks\.\d+\.attn\.q_proj\./)) return 'adaptformer';
  if (isSwin(inner) && (some(/^layers\.0\.downsample\./) || some(/^head\.weight$/) || some(/attn_mask$/)))
    return 'swin';
  return some(/^blocks\.\d+\./) || isSwin(inner) ? 'timm' : undefined;
}

export interface Conversion extends Renamed {
  from: Naming | 'npz';
}

/**
 * A state dict under other names: any known naming (timm's where none is recognised) to timm's and from there to `to`.
 * Query, key and value are joined or split; buffers that models compute are left out; nothing is resized. Throws
 * UsageError when `to` names another family of models, or has no name for a tensor.
 */
export function convertNames(state: Readonly<TensorRecord>, to: Naming): Conversion {
  const from = detectNaming(Object.keys(state)) ?? 'timm';
  const timm = from === 'npz' ? { tensors: npzToTimm(state), dropped: [], unknown: [] } : read(from, state);
  complain(from, 'timm', timm.unknown);
  const names = Object.keys(timm.tensors);
  if (isSwin(names) ? ['moco-v3', 'adaptformer', 'vpt'].includes(to) : to === 'swin') {
    throw new UsageError(
      `These are the weights of a ${isSwin(names) ? 'Swin' : 'plain'} transformer, which ${to} is not.`,
    );
  }
  const out = fromTimm(rulesOf(to, names), timm.tensors);
  complain(from, to, out.unknown);
  return { ...out, dropped: [...timm.dropped, ...out.dropped], from };
}

function read(from: Naming, state: Readonly<TensorRecord>): Renamed {
  const names = Object.keys(state);
  const inner = unwrap(names);
  const out = toTimm(rulesOf(from, inner), tensorRecord(names.map((name, i) => [inner[i]!, state[name]!])));
  return { ...out, dropped: out.dropped.map((name) => names[inner.indexOf(name)]!) };
}

function rulesOf(naming: Naming, names: readonly string[]): KeyRules {
  if (naming === 'torchvision') return isSwin(names) ? torchvisionSwin : torchvisionViT;
  return { 'moco-v3': mocoV3, swin, adaptformer, vpt, timm: plain, vitlab: plain }[naming];
}

function isSwin(names: readonly string[]): boolean {
  return names.some((name) => /^layers\.0\.blocks\.0\.|^features\.0\.0\.weight$/.test(name));
}

function unwrap(names: readonly string[]): string[] {
  let inner = [...names];
  for (let prefix: string | undefined = ''; prefix !== undefined; ) {
    inner = inner.map((name) => name.slice(prefix!.length));
    prefix = inner.length > 0 ? wrappers.find((each) => inner.every((name) => name.startsWith(each))) : undefined;
  }
  return inner;
}

function complain(from: string, to: string, unknown: readonly string[]): void {
  if (unknown.length === 0) return;
  throw new UsageError(`There is no ${to} name for ${few(unknown)} (names read as ${from}).`);
}
