// NumPy's .npz archives, and the Vision Transformers that Google published in them
// (google-research/vision_transformer and big_vision), as timm's state dicts.
import { CheckpointError, few } from '../errors.js';
import { type NpyHeader, parseNpy, parseNpyHeader } from './npy.js';
import { type TensorData, type TensorRecord, tensorRecord } from './tensorData.js';
import { reshape, stack, transpose } from './tensorOps.js';
import { ZipArchive } from './zip.js';

const suffix = '.npy';

/** Reads all arrays of an .npz file by name. Throws CheckpointError. */
export async function readNpz(path: string): Promise<TensorRecord> {
  return tensorRecord(await eachArray(path, (archive, name) => parseNpy(archive.read(name))));
}

/** Type and shape of all arrays of an .npz file, whose elements are not read. Throws CheckpointError. */
export async function readNpzHeaders(path: string): Promise<Array<[string, NpyHeader]>> {
  return eachArray(path, (archive, name) => parseNpyHeader(archive.readStart(name)));
}

async function eachArray<T>(path: string, read: (archive: ZipArchive, name: string) => T): Promise<Array<[string, T]>> {
  let part = '';
  try {
    const archive = await ZipArchive.open(path);
    try {
      const arrays: Array<[string, T]> = [];
      for (const name of archive.names) {
        part = `part ${name}: `;
        if (!name.endsWith(suffix)) throw new CheckpointError('it is not a NumPy array.');
        arrays.push([name.slice(0, -suffix.length), read(archive, name)]);
      }
      return arrays;
    } finally {
      archive.close();
    }
  } catch (error) {
    throw new CheckpointError(`${path} is not a sound .npz file: ${part}${(error as Error).message}`, { cause: error });
  }
}

/** The number of the attention, second norm and MLP in a block: the first ViT's, then big_vision's. */
const blockNames = [
  { attention: 'MultiHeadDotProductAttention_1', norm2: 'LayerNorm_2', mlp: 'MlpBlock_3' },
  { attention: 'MultiHeadDotProductAttention_0', norm2: 'LayerNorm_1', mlp: 'MlpBlock_0' },
];

/** Whether the names are those of a Google ViT. */
export function isNpzViT(names: readonly string[]): boolean {
  return names.some((name) => name.endsWith('Transformer/encoder_norm/scale'));
}

/**
 * Google's arrays under timm's names and in PyTorch's layouts: kernels `[in, out]` become `[out, in]`, convolutions
 * `[h, w, in, out]` become `[out, in, h, w]`, query, key and value `[in, heads, dim]` become one `[3 out, in]`.
 * Position embeddings keep their size (see `resampleTimm`). Throws CheckpointError for arrays it has no place for.
 */
export function npzToTimm(arrays: Readonly<TensorRecord>): TensorRecord {
  const names = Object.keys(arrays);
  const norm = names.find((name) => name.endsWith('Transformer/encoder_norm/scale'));
  if (norm === undefined) throw new CheckpointError('These arrays are not a Google ViT: no Transformer/encoder_norm.');
  const prefix = norm.slice(0, -'Transformer/encoder_norm/scale'.length);
  const used = new Set<string>();
  const take = (name: string): TensorData => {
    const tensor = arrays[prefix + name];
    if (!tensor) throw new CheckpointError(`The Google ViT lacks ${prefix + name}.`);
    used.add(prefix + name);
    return tensor;
  };
  const out = tensorRecord();
  const affine = (to: string, from: string) => {
    out[`${to}.weight`] = take(`${from}/scale`);
    out[`${to}.bias`] = take(`${from}/bias`);
  };
  const dense = (to: string, from: string) => {
    out[`${to}.weight`] = transpose(take(`${from}/kernel`), [1, 0]);
    out[`${to}.bias`] = take(`${from}/bias`);
  };
  out['cls_token'] = take('cls');
  out['pos_embed'] = take('Transformer/posembed_input/pos_embedding');
  out['patch_embed.proj.weight'] = transpose(take('embedding/kernel'), [3, 2, 0, 1]);
  out['patch_embed.proj.bias'] = take('embedding/bias');
  for (let i = 0; names.includes(`${prefix}Transformer/encoderblock_${i}/LayerNorm_0/scale`); i++) {
    const from = `Transformer/encoderblock_${i}`;
    const has = ({ attention }: { attention: string }) => names.includes(`${prefix}${from}/${attention}/query/kernel`);
    const layout = blockNames.find(has) ?? blockNames[0]!;
    const parts = ['query', 'key', 'value'].map((part) => `${from}/${layout.attention}/${part}`);
    affine(`blocks.${i}.norm1`, `${from}/LayerNorm_0`);
    out[`blocks.${i}.attn.qkv.weight`] = stack(parts.map((part) => flatTransposed(take(`${part}/kernel`))));
    out[`blocks.${i}.attn.qkv.bias`] = stack(parts.map((part) => reshape(take(`${part}/bias`), [-1])));
    const kernel = take(`${from}/${layout.attention}/out/kernel`);
    const joined = reshape(kernel, [-1, kernel.shape.at(-1)!]);
    out[`blocks.${i}.attn.proj.weight`] = transpose(joined, [1, 0]);
    out[`blocks.${i}.attn.proj.bias`] = take(`${from}/${layout.attention}/out/bias`);
    affine(`blocks.${i}.norm2`, `${from}/${layout.norm2}`);
    dense(`blocks.${i}.mlp.fc1`, `${from}/${layout.mlp}/Dense_0`);
    dense(`blocks.${i}.mlp.fc2`, `${from}/${layout.mlp}/Dense_1`);
  }
  affine('norm', 'Transformer/encoder_norm');
  if (names.includes(`${prefix}pre_logits/kernel`)) dense('pre_logits.fc', 'pre_logits');
  if (names.includes(`${prefix}head/kernel`)) dense('head', 'head');
  const left = names.filter((name) => name.startsWith(prefix) && !used.has(name));
  if (left.length > 0) throw new CheckpointError(`The Google ViT has arrays without a place here: ${few(left)}.`);
  return out;
}

/** `[in, heads, dim]` as `[heads · dim, in]`. */
function flatTransposed(kernel: TensorData): TensorData {
  return transpose(reshape(kernel, [kernel.shape[0]!, -1]), [1, 0]);
}
