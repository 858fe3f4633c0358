// Where a ViT's class token looks: its row of the attention maps, by block, as numbers for tables and pictures.
import { type Tensor, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import { ForwardContext } from '../nn/index.js';
import type { VisionTransformer } from './vit.js';

/** The attention of the class token in one block, the mean over its heads. For each image the three add up to 1. */
export interface ClassAttention {
  /** To itself, `[B]`. */
  toItself: Float32Array;
  /** To all tokens that were inserted between it and the patches, such as prompts, together, `[B]`. */
  toInserted: Float32Array;
  /** To the patches, `[B, rows × columns]`, row by row. */
  toPatches: Float32Array;
}

/**
 * The class token's attention in every block for images `[B, H, W, C]`, in evaluation mode. It reads the tensors of the
 * pass, so it cannot be part of a recorded step.
 * @throws UsageError for a model without a class token
 */
export async function classAttention(model: VisionTransformer, images: Tensor): Promise<ClassAttention[]> {
  if (!model.clsToken) throw new UsageError('There is no class token in this model whose attention could be shown.');
  const inserted = model.numPrefixTokens - 1;
  model.eval();
  const rows = tf.tidy(() => {
    const maps: Tensor[] = [];
    const listen = (name: string, value: Tensor) => {
      if (/^attn\.\d+$/.test(name)) maps.push(value);
    };
    model.forward(images, new ForwardContext(undefined, listen));
    return maps.map((map) => {
      const [batch, heads, , tokens] = map.shape as [number, number, number, number];
      return tf.reshape(tf.mean(tf.slice(map, [0, 0, 0, 0], [batch, heads, 1, tokens]), 1), [batch, tokens]);
    });
  });
  try {
    return await Promise.all(rows.map(async (row) => parted(await row.data<'float32'>(), row.shape[1]!, inserted)));
  } finally {
    tf.dispose(rows);
  }
}

/** Rows of the maps, `[B, tokens]`, by what each token is. */
function parted(values: Float32Array, tokens: number, inserted: number): ClassAttention {
  const rows = Array.from({ length: values.length / tokens }, (_, i) => values.subarray(i * tokens, (i + 1) * tokens));
  const sum = (numbers: Float32Array): number => numbers.reduce((a, b) => a + b, 0);
  return {
    toItself: Float32Array.from(rows, (row) => row[0]!),
    toInserted: Float32Array.from(rows, (row) => sum(row.subarray(1, 1 + inserted))),
    toPatches: Float32Array.from(rows.flatMap((row) => [...row.subarray(1 + inserted)])),
  };
}
