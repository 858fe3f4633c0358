// A state dict brought to the shapes that a model has, with a report of what fitted.
import { CheckpointError, few } from '../errors.js';
import { plural } from '../words.js';
import { type Grid, requireMocoGrid, resampleTimm, type TimmResampleOptions } from './posEmbed.js';
import { type TensorData, type TensorRecord, tensorRecord } from './tensorData.js';

/** What became of each name. */
export interface FitReport {
  /** Taken as they are. */
  taken: string[];
  /** Position embeddings resampled to the model's grid. */
  reshaped: Array<{ name: string; from: readonly number[]; to: readonly number[] }>;
  /** In the model, not in the file: the model keeps its own. */
  missing: string[];
  /** In the file, not in the model. */
  unexpected: string[];
  /** In both with different shapes: the model keeps its own. */
  mismatched: Array<{ name: string; expected: readonly number[]; found: readonly number[] }>;
}

export interface FitStateOptions extends Omit<TimmResampleOptions, 'newGrid'> {
  /** The model's grid of patches; without it position embeddings of another length are a mismatch. */
  grid?: Grid;
  /** `computed`: the table follows from the grid (MoCo v3), another length is an error. Default `learned`. */
  posEmbed?: 'learned' | 'computed';
}

/**
 * The tensors of `state` that a model with these `shapes` can load. A learned `pos_embed` of another grid is resampled.
 * Throws CheckpointError for a computed one of another grid.
 */
export function fitState(
  state: Readonly<TensorRecord>,
  shapes: Readonly<Record<string, readonly number[]>>,
  options: FitStateOptions = {},
): { tensors: TensorRecord; report: FitReport } {
  const tensors = tensorRecord();
  const report: FitReport = { taken: [], reshaped: [], missing: [], unexpected: [], mismatched: [] };
  for (const [name, expected] of Object.entries(shapes)) {
    const tensor = Object.hasOwn(state, name) ? state[name] : undefined;
    if (!tensor) {
      report.missing.push(name);
      continue;
    }
    const fitted = name === 'pos_embed' ? fitPosEmbed(tensor, expected, options) : tensor;
    if (fitted.shape.join() !== expected.join()) {
      report.mismatched.push({ name, expected, found: tensor.shape });
      continue;
    }
    tensors[name] = fitted;
    if (fitted === tensor) report.taken.push(name);
    else report.reshaped.push({ name, from: tensor.shape, to: expected });
  }
  report.unexpected = Object.keys(state).filter((name) => !Object.hasOwn(shapes, name));
  return { tensors, report };
}

function fitPosEmbed(tensor: TensorData, expected: readonly number[], { grid, posEmbed, ...options }: FitStateOptions) {
  const sameWidth = tensor.shape.length === 3 && tensor.shape[2] === expected[2];
  if (!grid || !sameWidth || tensor.shape.join() === expected.join()) return tensor;
  if (posEmbed === 'computed') return requireMocoGrid(tensor, grid, options.prefixTokens);
  return resampleTimm(tensor, { ...options, newGrid: grid });
}

/** The report in a few lines; throws CheckpointError instead when nothing at all was taken. */
export function describeFit(report: FitReport): string {
  const { taken, reshaped, missing, unexpected, mismatched } = report;
  if (taken.length + reshaped.length === 0) {
    throw new CheckpointError(
      `None of the file's tensors fits the model: ${few(unexpected)} instead of ${few(missing)}.`,
    );
  }
  const lines = [`${plural(taken.length + reshaped.length, 'tensor')} taken`];
  for (const { name, from, to } of reshaped) lines.push(`reshaped: ${name} [${from}] to [${to}]`);
  if (missing.length > 0) lines.push(`missing: ${few(missing)}`);
  if (unexpected.length > 0) lines.push(`unexpected: ${few(unexpected)}`);
  for (const { name, expected, found } of mismatched)
    lines.push(`kept: ${name} [${expected}], the file has [${found}]`);
  return lines.join('\n');
}
