// A model with the weights that somebody has published on the Hugging Face hub.
import {
  convertNames,
  type FitReport,
  type FitStateOptions,
  fitState,
  loadCheckpoint,
  type TensorRecord,
  tensorRecord,
} from '../checkpoint/index.js';
import { fileHash } from '../data/index.js';
import { CheckpointError, few, UsageError } from '../errors.js';
import { createModel, type ImageModel, isSequenceModel } from '../models/index.js';
import { pair, type Size, tensorOf } from '../nn/index.js';
import { HubError } from './errors.js';
import { type HubOptions, HubRepo } from './repo.js';
import { type Preprocess, readTimmConfig, type TimmModel } from './timmConfig.js';

export interface PretrainedOptions extends HubOptions {
  /** Classes of the new task; a head for another number than the file's starts anew. 0: no head. Default: the file's. */
  numClasses?: number;
  /** Height and width of the images; position embeddings are resampled to their grid. Default: the file's. */
  imgSize?: Size;
  /** Seed of what is not in the file, such as a new head. Default 0. */
  seed?: number;
}

/** What became of the file's tensors. */
export interface PretrainedReport extends FitReport {
  /** Left out on purpose: a head for other classes, tables that the model computes. */
  dropped: string[];
  /** `sha256:…` of the file, for `lab.weights`. */
  checksum: string;
}

export interface Pretrained {
  model: ImageModel;
  report: PretrainedReport;
  /** How images must be prepared; `size` is the model's. */
  preprocess: Preprocess;
  /** The commit that the weights are of. */
  commit: string;
}

/** Files of weights, the preferred one first. */
const WEIGHTS = ['model.safetensors', 'pytorch_model.bin'];

/**
 * A model of timm's from the hub, such as `timm/vit_base_patch16_224.augreg_in21k`: reads config.json, builds the model of
 * the same name, and loads model.safetensors or pytorch_model.bin. Everything is cached; see `HubRepo` for the hub, the
 * environment and working offline. The model is in evaluation mode and takes images `[B, H, W, C]`.
 * @throws HubError where the repository cannot be had; UsageError for an architecture that is not here, with the nearest
 * one; CheckpointError for damaged files, or where a tensor other than the head has another shape than the model's
 */
export async function fromPretrained(repo: string, options: PretrainedOptions = {}): Promise<Pretrained> {
  const source = await HubRepo.open(repo, options);
  const timm = readTimmConfig(await source.file('config.json'), repo);
  const model = build(repo, timm, options);
  const weights = WEIGHTS.find((name) => source.files[name]);
  if (!weights) {
    const has = Object.keys(source.files).join(', ') || 'no files';
    throw new HubError(`${repo} has neither ${WEIGHTS.join(' nor ')}; it has ${has}.`);
  }
  const file = await source.file(weights);
  const { tensors, dropped } = convertNames(await loadCheckpoint(file), 'timm');
  const newHead = options.numClasses !== undefined && options.numClasses !== timm.numClasses;
  const ofHead = (name: string): boolean => timm.classifiers.some((head) => name.startsWith(`${head}.`));
  const kept = tensorRecord(Object.entries(tensors).filter(([name]) => !(newHead && ofHead(name))));
  const heads = Object.keys(tensors).filter((name) => !(name in kept));
  const report = { ...load(repo, model, kept), dropped: [...dropped, ...heads], checksum: await checksumOfFile(file) };
  model.initialize(options.seed ?? 0);
  const size = options.imgSize === undefined ? timm.preprocess.size : pair(options.imgSize);
  return { model, report, preprocess: { ...timm.preprocess, size: [...size] }, commit: source.commit };
}

/**
 * Loads the checkpoint file at `path` into `model`, in place: any format that is read here, under any of the names that
 * are known, position embeddings resampled to the model's grid. What the file lacks stays as it is.
 * @throws CheckpointError for a damaged file, a tensor of another shape than the model's, or where no name fits
 */
export async function loadWeights(model: ImageModel, path: string): Promise<PretrainedReport> {
  const { tensors, dropped } = convertNames(await loadCheckpoint(path), 'timm');
  return { ...load(path, model, tensors), dropped, checksum: await checksumOfFile(path) };
}

const checksumOfFile = async (file: string): Promise<string> => `sha256:${await fileHash(file, 'sha256')}`;

function build(repo: string, timm: TimmModel, { numClasses = timm.numClasses, imgSize }: PretrainedOptions) {
  const settings = { ...timm.settings, numClasses, ...(imgSize !== undefined && { imgSize }) };
  try {
    return createModel(timm.architecture, settings);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new UsageError(`${repo} is a ${timm.architecture}, which cannot be built here: ${cause.message}`, { cause });
  }
}

/** Loads what fits. @throws CheckpointError where a tensor has another shape than the model's, or none fits */
function load(source: string, model: ImageModel, state: TensorRecord): FitReport {
  const persistent = [...model.namedBuffers()].filter(([, buffer]) => buffer.persistent);
  const parameters = new Map(model.namedParameters());
  const shapes = Object.fromEntries([...parameters, ...persistent].map(([name, { shape }]) => [name, shape]));
  // a table that is fixed follows from the grid and is not resampled
  const positions: FitStateOptions = parameters.get('pos_embed')?.trainable === false ? { posEmbed: 'computed' } : {};
  const grid = isSequenceModel(model)
    ? { grid: model.patchEmbed.gridSize, prefixTokens: model.numPrefixTokens, ...positions }
    : {};
  const { tensors, report } = fitState(state, shapes, grid);
  const [wrong] = report.mismatched;
  if (wrong) {
    throw new CheckpointError(
      `${wrong.name} of ${source} is [${wrong.found}], the model needs [${wrong.expected}]. The weights are of another model than this one, or cannot be brought to its image size.`,
    );
  }
  if (Object.keys(tensors).length === 0) {
    throw new CheckpointError(
      `Nothing in the weights of ${source} has a name of the model: they have ${few(report.unexpected, 5)}, it needs ${few(report.missing, 5)}.`,
    );
  }
  for (const [name, data] of Object.entries(tensors)) {
    const tensor = tensorOf(data);
    model.loadStateDict({ [name]: tensor }, { strict: false });
    tensor.dispose();
  }
  return report;
}
