// A model's forward pass as a TensorFlow SavedModel for inference: one graph with the weights as constants, and the
// signature `serving_default` (tensorflow/core/protobuf/saved_model.proto).
import fs from 'node:fs';
import path from 'node:path';
import { CaptureError, ShapeError, UsageError } from '../../errors.js';
import { writeFileAtomic } from '../../files.js';
import { withPortableOps } from '../ownOps.js';
import { type Tensor, tf, type Variable } from '../tf.js';
import { autocast } from './autocast.js';
import { BatchGraph, type Recorded } from './batchGraph.js';
import { DataType, savedModelParts } from './graph.js';
import { Recorder } from './recorder.js';

/** What can be exported; every model is. */
export interface Exportable {
  /** Images `[B, H, W, C]` → logits. */
  forward(images: Tensor): Tensor;
  namedModules(): Iterable<[string, { training: boolean }]>;
  /** Names for the weights. */
  stateDict(): Record<string, Tensor>;
  /** `imgSize` and `inChans` tell what images it takes. */
  readonly config?: object;
}

export interface SavedModelOptions {
  /** `[batch, height, width, channels]`; batch null: of any size. Default: any batch of the model's own images. */
  inputShape?: readonly [batch: number | null, height: number, width: number, channels: number];
  /** `bf16`: matrix products and convolutions in bfloat16; the weights stay float32. Default `fp32`. */
  precision?: 'fp32' | 'bf16';
}

const FILE = 'saved_model.pb';

/** What a protocol buffer may hold; larger ones cannot be read. */
const MAX_BYTES = 2 ** 31 - 1;

/** Two sizes of batch that tell what is in proportion to the batch. */
const TRIALS = [2, 3] as const;

/**
 * Writes the model's forward pass in evaluation mode as `dir/saved_model.pb`, for TensorFlow, TensorFlow Serving and
 * tfjs-node: `images` `[B, H, W, C]` float32 → `logits` `[B, classes]`. Needs the tensorflow engine.
 * @throws UsageError where `dir` holds something else or the size of the images is not known; CaptureError where the
 * forward pass cannot be recorded, depends on the batch's size in another way than by proportion, or has more than 2 GiB
 * of weights
 */
export function exportSavedModel(dir: string, model: Exportable, options: SavedModelOptions = {}): void {
  const { inputShape = ownShape(model), precision = 'fp32' } = options;
  refuseForeign(dir);
  const [batch, ...image] = inputShape;
  const sizes = batch === null ? TRIALS : ([batch] as const);
  const recorded = inEvaluation(model, () => withPortableOps(() => sizes.map((size) => record(model, size, image))));
  const [first, last] = [recorded[0]!, recorded.at(-1)!];
  refuseTooLarge([...first.recorder.variables.keys()].reduce((sum, { size }) => sum + 4 * size, 0));

  const names = new Map(Object.entries(model.stateDict()).map(([name, tensor]) => [tensor, name]));
  const nameOf = (variable: Variable): string => `weights/${names.get(variable) ?? `constant_${variable.id}`}`;
  const shape = [batch ?? -1, ...image];
  const graph = new BatchGraph([first, last], shape, nameOf);
  graph.output(
    'logits',
    [first.recording.outputs.get('logits')!, last.recording.outputs.get('logits')!],
    DataType.float,
  );
  const nodes = precision === 'bf16' ? autocast(graph.nodes) : graph.nodes;
  const parts = savedModelParts(nodes, {
    inputs: { images: { tensor: 'images:0', dtype: DataType.float, shape } },
    outputs: {
      logits: { tensor: 'logits:0', dtype: DataType.float, shape: [batch ?? -1, ...first.outputShape.slice(1)] },
    },
  });
  refuseTooLarge(parts.reduce((sum, { length }) => sum + length, 0));
  writeFileAtomic(path.join(dir, FILE), parts);
}

function ownShape({ config }: Exportable): NonNullable<SavedModelOptions['inputShape']> {
  const { imgSize, inChans } = (config ?? {}) as { imgSize?: number | [number, number]; inChans?: number };
  if (imgSize === undefined || inChans === undefined) {
    throw new UsageError(
      'The model does not say what images it takes: give inputShape [batch or null, height, width, channels].',
    );
  }
  const [height, width] = typeof imgSize === 'number' ? [imgSize, imgSize] : imgSize;
  return [null, height, width, inChans];
}

/** Refuses to write beside the parts of another model, which would be loaded with this graph. */
function refuseForeign(dir: string): void {
  const present = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => !name.startsWith(FILE)) : [];
  if (present.length > 0) {
    throw new UsageError(
      `${dir} holds ${present.slice(0, 5).join(', ')}. Name a folder that is new, empty or an earlier export.`,
    );
  }
}

/** @throws CaptureError where so many bytes do not fit into a SavedModel with its weights as constants */
export function refuseTooLarge(bytes: number): void {
  if (bytes <= MAX_BYTES) return;
  throw new CaptureError(
    `The model has ${(bytes / 2 ** 30).toFixed(2)} GiB of weights, but a SavedModel's graph holds 2 GiB at most. ` +
      'Keep it as safetensors (writeSafetensors), which have no such limit.',
  );
}

function inEvaluation<T>(model: Exportable, action: () => T): T {
  const modules = [...model.namedModules()].map(([, module]) => ({ module, training: module.training }));
  try {
    for (const { module } of modules) module.training = false;
    return action();
  } finally {
    for (const { module, training } of modules) module.training = training;
  }
}

function record(model: Exportable, batch: number, image: readonly number[]): Recorded & { outputShape: number[] } {
  const recorder = new Recorder();
  const images = tf.zeros([batch, ...image]);
  let outputShape: number[] = [];
  try {
    const forward = (inputs: Record<string, Tensor>) => {
      const logits = model.forward(inputs['images']!);
      if (logits.dtype !== 'float32') throw new ShapeError(`Expected float32 logits, got ${logits.dtype}.`);
      outputShape = logits.shape;
      return { logits };
    };
    const recording = recorder.record('export', forward, { images });
    const [changed] = recording.changed;
    if (changed) {
      throw new CaptureError(
        `The forward pass changes ${changed.variable.name}, which a graph of constants cannot do.`,
      );
    }
    return { recorder, recording, batch, outputShape };
  } finally {
    images.dispose();
  }
}
