// Position embeddings of a checkpoint fitted to another grid, as the reference libraries do it when they load weights.
import { CheckpointError } from '../errors.js';
import { type GridInterpolation, type ResampleOptions, resampleGrid } from './resample.js';
import { type TensorData, type TensorRecord, tensorRecord, toFloat32, toFloat64 } from './tensorData.js';

export type Grid = readonly [rows: number, columns: number];

export interface TimmResampleOptions {
  newGrid: Grid;
  /** The grid of the checkpoint; without it a square one. */
  oldGrid?: Grid;
  /** Class and register tokens before the grid, which are kept as they are. Default 1. */
  prefixTokens?: number;
  /** Default bicubic. */
  interpolation?: GridInterpolation;
  /** Default true, but for `nearest`, which has none. */
  antialias?: boolean;
}

/**
 * timm's `resample_abs_pos_embed`: `[1, prefix + old, D]` → `[1, prefix + new, D]`, pixel centres aligned. An
 * embedding of the new grid already is returned as it is. Google's .npz weights use `bilinear` without
 * antialias. Throws CheckpointError when the tokens do not fill the old grid.
 */
export function resampleTimm(posEmbed: TensorData, options: TimmResampleOptions): TensorData {
  const { newGrid, prefixTokens = 1, interpolation = 'bicubic', antialias = interpolation !== 'nearest' } = options;
  const [, tokens] = dimensions(posEmbed);
  const oldGrid = options.oldGrid ?? squareGrid(tokens - prefixTokens);
  const fits = tokens === newGrid[0] * newGrid[1] + prefixTokens;
  if (fits && oldGrid[0] === newGrid[0] && oldGrid[1] === newGrid[1]) return posEmbed;
  return refit(posEmbed, oldGrid, newGrid, prefixTokens, { mode: interpolation, antialias });
}

export interface InterpolateEmbeddingsOptions {
  /** Side of the new images in pixels; the new grid's side is imageSize / patchSize, rounded down. */
  imageSize: number;
  patchSize: number;
  /** Default bicubic. */
  interpolationMode?: GridInterpolation;
  /** Leaves out everything named `heads…`, so that a new head can be trained. Default false. */
  resetHeads?: boolean;
}

/**
 * torchvision's `interpolate_embeddings`: the state dict of a `vit_*` model for images of another size, corner positions
 * aligned, the class position untouched. A state dict that fits already is returned as it is, heads included. Throws
 * CheckpointError when `encoder.pos_embedding` is missing, is not `[1, N, D]`, or its N - 1 is not a square; UsageError
 * for `nearest`, which cannot align corners.
 */
export function interpolateEmbeddings(
  state: Readonly<TensorRecord>,
  { imageSize, patchSize, interpolationMode = 'bicubic', resetHeads = false }: InterpolateEmbeddingsOptions,
): TensorRecord {
  const name = 'encoder.pos_embedding';
  const posEmbed = state[name];
  if (!posEmbed) throw new CheckpointError(`The state dict has no ${name}: is it one of torchvision's ViT?`);
  const [, tokens] = dimensions(posEmbed);
  const side = Math.floor(imageSize / patchSize);
  if (tokens === side * side + 1) return tensorRecord(Object.entries(state));
  const options: ResampleOptions = { mode: interpolationMode, alignCorners: true };
  const fitted = refit(posEmbed, squareGrid(tokens - 1), [side, side], 1, options);
  const kept = Object.entries(state).filter(([key]) => !(resetHeads && key.startsWith('heads')));
  return tensorRecord(kept.map(([key, tensor]) => [key, key === name ? fitted : tensor]));
}

/**
 * How VPT loads a position embedding (`scipy.ndimage.zoom`, order 1, both grids square): `[1, 1 + old², D]` →
 * `[1, 1 + side², D]`. Throws CheckpointError when the tokens do not fill a square.
 */
export function zoomVpt(posEmbed: TensorData, side: number): TensorData {
  const [, tokens] = dimensions(posEmbed);
  if (tokens === side * side + 1) return posEmbed;
  return refit(posEmbed, squareGrid(tokens - 1), [side, side], 1, { mode: 'bilinear', alignCorners: true });
}

/**
 * MoCo v3's position embedding is a table computed from the grid, so another grid needs another table and never a
 * resampled one. Returns the embedding when it has the tokens of `grid`; throws CheckpointError when it has not.
 */
export function requireMocoGrid(posEmbed: TensorData, grid: Grid, prefixTokens = 1): TensorData {
  const [, tokens] = dimensions(posEmbed);
  const wanted = grid[0] * grid[1] + prefixTokens;
  if (tokens === wanted) return posEmbed;
  throw new CheckpointError(
    `The checkpoint's sine-cosine position embedding has ${tokens} tokens, the model's grid ${grid.join(' x ')} needs ` +
      `${wanted}. Leave pos_embed out when loading: the model computes the table of its own grid.`,
  );
}

function refit(
  posEmbed: TensorData,
  oldGrid: Grid,
  newGrid: Grid,
  prefix: number,
  options: ResampleOptions,
): TensorData {
  const [, tokens, channels] = dimensions(posEmbed);
  requireGrid(tokens, oldGrid, prefix);
  const values = toFloat64(posEmbed);
  const grid = resampleGrid(values.subarray(prefix * channels), oldGrid, newGrid, channels, options);
  const data = new Float32Array(prefix * channels + grid.length);
  data.set(toFloat32(posEmbed).subarray(0, prefix * channels));
  data.set(grid, prefix * channels);
  return { dtype: 'float32', shape: [1, prefix + newGrid[0] * newGrid[1], channels], data };
}

/** @throws CheckpointError where `tokens` are not the prefix and the grid */
export function requireGrid(tokens: number, grid: Grid, prefix: number): void {
  if (tokens === grid[0] * grid[1] + prefix) return;
  throw new CheckpointError(
    `A position embedding of ${tokens} tokens is not ${prefix} and a grid of ${grid.join(' x ')}.`,
  );
}

/** @throws CheckpointError where a tensor is no table `[1, tokens, channels]` */
export function dimensions({ shape }: TensorData): [number, number, number] {
  if (shape.length !== 3 || shape[0] !== 1) {
    throw new CheckpointError(`A position embedding has the shape [1, tokens, channels], not [${shape}].`);
  }
  return shape as [number, number, number];
}

/** @throws CheckpointError where `tokens` is no square number */
export function squareGrid(tokens: number): Grid {
  const side = Math.floor(Math.sqrt(tokens));
  if (side * side !== tokens) {
    throw new CheckpointError(`${tokens} grid positions are not a square grid: say which grid the checkpoint has.`);
  }
  return [side, side];
}
