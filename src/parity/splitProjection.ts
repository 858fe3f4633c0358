// Query, key and value as three linear layers, which is how some reference libraries keep them.
import { type Tensor, tf } from '../engine/index.js';
import type { VisionTransformer } from '../models/index.js';
import { type ForwardContext, Linear, Module } from '../nn/index.js';

/** Three linear layers of one input, their results side by side: `[…, D]` → `[…, 3D]`. */
class SplitProjection extends Module {
  protected override readonly names = { parts: '' };
  readonly parts: Readonly<Record<string, Linear>>;

  constructor(dim: number, names: readonly [string, string, string]) {
    super();
    this.parts = Object.fromEntries(names.map((name) => [name, new Linear(dim, dim)]));
  }

  override forward(x: Tensor, _context?: ForwardContext): Tensor {
    return tf.concat(
      Object.values(this.parts).map((part) => part.forward(x)),
      -1,
    );
  }
}

/** Replaces `qkv` of every block by three layers `qkv.<name>` of these names. */
export function splitProjections(model: VisionTransformer, names: readonly [string, string, string]): void {
  for (const [, module] of model.namedModules()) {
    const attention = module as Module & { dim?: number; qkv?: Module };
    if (attention.qkv instanceof Linear) attention.qkv = new SplitProjection(attention.dim!, names);
  }
}
