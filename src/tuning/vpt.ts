// Visual prompt tuning, Jia et al. 2022 (arXiv:2203.12119): learnt tokens among those of the image. Shallow: before the
// first block. Deep: in the place of the prompts before every block.
import { z } from 'zod';
import { type Tensor, tf } from '../engine/index.js';
import { UsageError } from '../errors.js';
import {
  isMapBlock,
  isMapMerging,
  isPatchModel,
  isSequenceModel,
  type MapBlock,
  type MapMerging,
  type SequenceModel,
  type TransformerBlock,
} from '../models/index.js';
import { Dropout, type ForwardContext, Identity, init, Linear, Module, Parameter, pair } from '../nn/index.js';
import { defineMethod } from './method.js';
import { attach, findBlocks, isHead, replaceBlocks, replaceHead, replaceModules, trainOnly } from './modules.js';

const options = z.strictObject({
  numTokens: z.int().positive().default(5),
  deep: z.boolean().default(false),
  /** Width of the prompts where they are projected to that of the tokens; only where all blocks have one width. */
  project: z.int().positive().optional(),
  dropout: z.number().min(0).lt(1).default(0),
  /**
   * `fresh` puts a new head in, which starts as the official code's does: normal with σ = √(2 / classes), far from 0 where
   * there are few classes. `keep` goes on with the model's own.
   */
  head: z.enum(['fresh', 'keep']).default('fresh'),
});

type Options = z.output<typeof options>;

/** The prompts of all blocks. Consecutive blocks of one width share a tensor `[blocks, P, width]`. */
class Prompts extends Module {
  readonly embeddings: Parameter;
  readonly deepEmbeddings: Parameter[] = [];
  proj: Module;
  dropout: Module;
  /** For each block its tensor and row of `deepEmbeddings`; none for the first. */
  private readonly places: ({ tensor: number; row: number } | undefined)[] = [];

  constructor(widths: readonly number[], patchArea: number, { numTokens, deep, project, dropout }: Options) {
    super();
    const width = widths[0]!;
    const promptWidth = project ?? width;
    const start = init.uniform(Math.sqrt(6 / (3 * patchArea + promptWidth)));
    this.embeddings = new Parameter([1, numTokens, promptWidth], start);
    if (deep) {
      for (const { length, firstBlock, width } of runs(widths)) {
        const skipped = firstBlock === 0 ? 1 : 0;
        for (let i = 0; i < length; i++) {
          const place = { tensor: this.deepEmbeddings.length, row: i - skipped };
          this.places.push(place.row < 0 ? undefined : place);
        }
        if (length > skipped) {
          this.deepEmbeddings.push(new Parameter([length - skipped, numTokens, project ?? width], start));
        }
      }
    }
    const weightInit = init.normal(Math.sqrt(2 / width));
    this.proj = project === undefined ? new Identity() : new Linear(project, width, { weightInit });
    this.dropout = new Dropout(dropout);
  }

  /** Prompts as they are before the first block. */
  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return this.expand(this.embeddings.value, x.shape[0]!, context);
  }

  /** Whether a block has prompts of its own. */
  has(block: number): boolean {
    return this.places[block] !== undefined;
  }

  /** The own prompts of a block for a batch: `[B, P, D]`. */
  of(block: number, batch: number, context?: ForwardContext): Tensor {
    const { tensor, row } = this.places[block]!;
    const all = this.deepEmbeddings[tensor]!;
    return this.expand(tf.slice(all.value, [row, 0, 0], [1, all.shape[1]!, all.shape[2]!]), batch, context);
  }

  private expand(prompts: Tensor, batch: number, context?: ForwardContext): Tensor {
    const projected = this.proj.forward(prompts, context);
    return this.dropout.forward(tf.add(projected, tf.zeros([batch, 1, 1])), context);
  }
}

/** Consecutive equal widths. */
function runs(widths: readonly number[]): { firstBlock: number; length: number; width: number }[] {
  const found: { firstBlock: number; length: number; width: number }[] = [];
  for (const [block, width] of widths.entries()) {
    const last = found.at(-1);
    if (last?.width === width) last.length++;
    else found.push({ firstBlock: block, length: 1, width });
  }
  return found;
}

/** A module of the same names whose input or result is changed. */
class Around<M extends Module> extends Module {
  protected override readonly names = { inner: '' };
  inner: M;

  constructor(
    inner: M,
    private readonly pass: (inner: M, x: Tensor, context?: ForwardContext) => Tensor,
  ) {
    super();
    this.inner = inner;
  }

  override forward(x: Tensor, context?: ForwardContext): Tensor {
    return this.pass(this.inner, x, context);
  }
}

/** Tokens `[B, N, D]` with `count` of them, from `at` on, replaced by `others`; 0 inserts. */
function splice(tokens: Tensor, at: number, count: number, others: Tensor): Tensor {
  // the gradient of a split is one concatenation
  const sizes = [at, count, tokens.shape[1]! - at - count].filter(Boolean);
  const parts = [...tf.split(tokens, sizes, 1)];
  parts.splice(at > 0 ? 1 : 0, count > 0 ? 1 : 0, others);
  return tf.concat(parts, 1);
}

function promptSequence(model: SequenceModel, prompts: Prompts, numTokens: number): void {
  const at = model.numPrefixTokens;
  model.numPrefixTokens += numTokens;
  model.posDrop = new Around(model.posDrop, (posDrop, x, context) => {
    const tokens = posDrop.forward(x, context);
    return splice(tokens, at, 0, prompts.forward(tokens, context));
  });
  replaceBlocks(model, (block, index) =>
    prompts.has(index)
      ? new Around(block, (inner, x, context) =>
          inner.forward(splice(x, at, numTokens, prompts.of(index, x.shape[0]!, context)), context),
        )
      : block,
  );
}

/**
 * On maps every window sees the prompts; each prompt takes the mean of what it gets in the windows of its own image. The
 * map alone is pooled.
 */
function promptMaps(model: Module, prompts: Prompts): void {
  // The prompts of the pass that is under way, on their way from block to block.
  let current: Tensor | undefined;
  const through = (index: number) => (block: MapBlock, map: Tensor, context?: ForwardContext) => {
    if (index === 0) current = prompts.forward(map, context);
    const extra = prompts.has(index) ? prompts.of(index, map.shape[0]!, context) : current!;
    const attended = block.attendWith(map, extra, context);
    const [batch, height, width, channels] = map.shape as [number, number, number, number];
    const places = tf.reshape(attended.map, [batch, height * width, channels]);
    const tokens = block.feedForward(tf.concat([attended.extra, places], 1), context);
    const [ofPrompts, ofMap] = tf.split(tokens, [extra.shape[1]!, height * width], 1);
    current = ofPrompts!;
    return tf.reshape(ofMap!, map.shape);
  };
  const merge = (merging: MapMerging, map: Tensor, context?: ForwardContext) => {
    current = merging.mergeExtra(current!, context);
    return merging.forward(map, context);
  };
  replaceModules(model, (module) => (isMapMerging(module) ? new Around(module, merge) : undefined));
  replaceBlocks(model, (block, index) => new Around(block as MapBlock, through(index)));
}

function widthsOf(blocks: readonly TransformerBlock[], { project }: Options, model: string): number[] {
  const widths = blocks.map((block) => block.dim);
  if (project !== undefined && new Set(widths).size > 1) {
    throw new UsageError(
      `The blocks of ${model} have the widths ${[...new Set(widths)].join(', ')}: leave out project.`,
    );
  }
  return widths;
}

export const vpt = defineMethod({
  name: 'vpt',
  description:
    'Visual prompt tuning (arXiv:2203.12119), shallow or deep: prompts and the head, a fresh one by default, train.',
  options,
  apply(model, options) {
    const name = model.constructor.name;
    const blocks = findBlocks(model);
    if (!isPatchModel(model)) throw new UsageError(`${name} does not say the size of its patches.`);
    const [height, width] = pair(model.config.patchSize);
    const prompts = new Prompts(widthsOf(blocks, options, name), height * width, options);
    if (!isSequenceModel(model) && !blocks.every(isMapBlock)) {
      throw new UsageError(`Prompts need blocks on sequences, or on maps with attendWith; ${name} has neither.`);
    }
    attach(model, 'prompts', prompts);
    if (options.head === 'fresh') {
      replaceHead(model, ({ inFeatures, outFeatures }) => {
        const weightInit = init.normal(Math.sqrt(2 / outFeatures));
        return new Linear(inFeatures, outFeatures, { weightInit, biasInit: init.zeros });
      });
    }
    if (isSequenceModel(model)) promptSequence(model, prompts, options.numTokens);
    else promptMaps(model, prompts);
    trainOnly(model, (parameter) => parameter.startsWith('prompts.') || isHead(parameter));
  },
});
