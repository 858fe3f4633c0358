// LoRA, Hu et al. 2022 (arXiv:2106.09685), and its rank-stabilised scaling, Kalajdzievski 2023 (arXiv:2312.03732). Names
// of parameters are PEFT's.
import { z } from 'zod';
import type { TensorRecord } from '../checkpoint/index.js';
import { type Tensor, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import {
  addBias,
  defineOp,
  type ForwardContext,
  init,
  Linear,
  Module,
  matrixProduct,
  onRows,
  recordOf,
  tensorDataOf,
} from '../nn/index.js';
import { defineMethod } from './method.js';
import { findBlocks, isHead, replaceModules, trainOnly } from './modules.js';

const options = z.strictObject({
  /** The linear layers of the blocks that get an update, by their last name: qkv, proj, fc1, fc2. */
  targets: z.array(z.string()).min(1).default(['qkv']),
  /** Rank of the update. */
  r: z.int().positive().default(8),
  alpha: z.number().positive().default(16),
  /** Scales by alpha / √r instead of alpha / r. */
  rsLora: z.boolean().default(false),
});

type Factors = Record<'weight' | 'a' | 'b', Tensor>;

/** W + scaling · B A. */
const withUpdate = ({ weight, a, b }: Factors, scaling: number): Tensor =>
  tf.add(weight, matrixProduct(tf.mul(b, scaling), a));

/**
 * x (W + scaling · B A)ᵀ of x `[N, in]`. The small factors are multiplied first, so that the rows meet one matrix and not
 * three; the gradients of A and B go through their narrow side and never make that of the whole matrix.
 */
const product = defineOp<'x' | 'weight' | 'a' | 'b', { scaling: number }>({
  name: 'LoraProduct',
  forward: ({ x, ...factors }, { scaling }) => matrixProduct(x, withUpdate(factors, scaling), false, true),
  saves: ['x', 'weight', 'a', 'b'],
  gradient: (dy, { x, ...factors }, { scaling }) => {
    const scaled = (factor: Tensor): Tensor => tf.mul(factor, scaling);
    return {
      x: () => matrixProduct(dy, withUpdate(factors, scaling)),
      weight: () => matrixProduct(dy, x, true),
      a: () => matrixProduct(matrixProduct(dy, scaled(factors.b)), x, true),
      b: () => matrixProduct(dy, matrixProduct(x, scaled(factors.a), false, true), true),
    };
  },
});

/** y = x Wᵀ + b + scaling · (x Aᵀ) Bᵀ with A `[r, in]`, B `[out, r]`; B starts at zero. */
export class LoraLinear extends Module {
  protected override readonly names = { linear: '', loraA: 'lora_A', loraB: 'lora_B' };
  readonly linear: Linear;
  readonly loraA: Linear;
  readonly loraB: Linear;
  readonly scaling: number;
  /** The layer's own weight while the update is merged into it. */
  private original: Tensor | undefined;

  constructor(layer: Linear, { r, alpha, rsLora }: { r: number; alpha: number; rsLora: boolean }) {
    super();
    this.linear = layer;
    this.loraA = new Linear(layer.inFeatures, r, { bias: false, weightInit: init.kaimingUniform() });
    this.loraB = new Linear(r, layer.outFeatures, { bias: false, weightInit: init.zeros });
    this.scaling = rsLora ? alpha / Math.sqrt(r) : alpha / r;
  }

  get merged(): boolean {
    return this.original !== undefined;
  }

  /** `[…, in]` → `[…, out]`. */
  override forward(x: Tensor, _context?: ForwardContext): Tensor {
    if (this.merged) return this.linear.forward(x);
    const { factors, scaling } = this;
    const bias = this.linear.bias?.value;
    return onRows(x, (rows) => {
      const y = product({ x: rows, ...factors }, { scaling });
      return bias ? addBias(y, bias) : y;
    });
  }

  private get factors(): Factors {
    return { weight: this.linear.weight.value, a: this.loraA.weight.value, b: this.loraB.weight.value };
  }

  /** W + scaling · B A, `[out, in]`: the weight of a plain layer that computes the same. */
  mergedWeight(): Tensor {
    if (this.merged) return this.linear.weight.value.clone();
    return tf.tidy(() => withUpdate(this.factors, this.scaling));
  }

  /** Puts W + scaling · B A in the place of W. Until `unmerge` the layer is a plain one, as fast and not trainable. */
  merge(): void {
    if (this.merged) return;
    const merged = this.mergedWeight();
    this.original = tf.keep(this.linear.weight.value.clone());
    this.linear.weight.set(merged);
  }

  /** Puts W back, to the bit. */
  unmerge(): void {
    if (!this.original) return;
    this.linear.weight.set(this.original);
    this.original = undefined;
  }

  override dispose(): void {
    this.original?.dispose();
    this.original = undefined;
    super.dispose();
  }
}

const isUpdate = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);

const lastName = (path: string): string => path.split('.').at(-1)!;

const linearNames = (block: Module): string[] =>
  [...block.namedModules()].flatMap(([path, module]) => (module instanceof Linear ? [lastName(path)] : []));

export const lora = defineMethod({
  name: 'lora',
  description: 'LoRA (arXiv:2106.09685): low-rank updates of chosen linear layers and the head train.',
  options,
  apply(model, { targets, ...options }) {
    const blocks = findBlocks(model);
    const present = new Set(blocks.flatMap(linearNames));
    const missing = targets.filter((target) => !present.has(target));
    if (missing.length > 0) {
      throw new UsageError(
        `The blocks of ${model.constructor.name} have no linear layer named ${missing.join(', ')}, only ${[...present].join(', ')}.`,
      );
    }
    for (const block of blocks) {
      replaceModules(block, (module, path) =>
        module instanceof Linear && targets.includes(lastName(path)) ? new LoraLinear(module, options) : undefined,
      );
    }
    trainOnly(model, (name) => isUpdate(name) || isHead(name));
  },
});

function loraLayers(model: Module): [string, LoraLinear][] {
  const layers = [...model.namedModules()].filter(
    (entry): entry is [string, LoraLinear] => entry[1] instanceof LoraLinear,
  );
  if (layers.length === 0) throw new UsageError(`${model.constructor.name} has no LoRA layers.`);
  return layers;
}

/** Merges every update of a model into its weights, in place. @throws UsageError where there is none */
export function mergeLora(model: Module): void {
  for (const [, layer] of loraLayers(model)) layer.merge();
}

/** Takes every update out of the weights again. @throws UsageError where there is none */
export function unmergeLora(model: Module): void {
  for (const [, layer] of loraLayers(model)) layer.unmerge();
}

/** The state of the plain model that computes the same, by the plain model's names. @throws UsageError without LoRA */
export function mergedState(model: Module): TensorRecord {
  const layers = loraLayers(model);
  const state = recordOf(model, (name) => !isUpdate(name));
  for (const [name, layer] of layers) {
    const weight = layer.mergedWeight();
    state[`${name}.weight`] = tensorDataOf(weight);
    weight.dispose();
  }
  return state;
}
