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
  const blocks = tf.tidy(() => {
    const maps: Tensor[] = [];
    const listen = (name: string, value: Tensor) => {
      if (/^attn\.\d+$/.test(name)) maps.push(value);
    };
    model.forward(images, new ForwardContext(undefined, listen));
    return maps.map((map) => {
      const [batch, heads, , tokens] = map.shape as [number, number, number, number];
      const row = tf.reshape(tf.mean(tf.slice(map, [0, 0, 0, 0], [batch, heads, 1, tokens]), 1), [batch, tokens]);
      const part = (from: number, count: number) => tf.slice(row, [0, from], [batch, count]);
      return [part(0, 1), tf.sum(part(1, inserted), 1), part(1 + inserted, tokens - 1 - inserted)] as const;
    });
  });
  try {
    return await Promise.all(
      blocks.map(async (parts) => {
        const [toItself, toInserted, toPatches] = await Promise.all(parts.map(floats));
        return { toItself: toItself!, toInserted: toInserted!, toPatches: toPatches! };
      }),
    );
  } finally {
    tf.dispose(blocks.flat());
  }
}

const floats = async (tensor: Tensor): Promise<Float32Array> => Float32Array.from(await tensor.data());
