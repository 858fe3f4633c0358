// How alike the embeddings of two positions are: the maps in which a ViT's learned positions are usually drawn
// (Dosovitskiy et al. 2021, arXiv:2010.11929, figure 7).
import { dimensions, type Grid, requireGrid, squareGrid } from './posEmbed.js';
import { type TensorData, toFloat64 } from './tensorData.js';

/**
 * The cosine similarity of every grid position's embedding with all others, of a table `[1, prefix + rows · columns, D]`:
 * a map `[rows][columns]` for each position, row by row. An embedding of zeros is alike to none: 0.
 * @throws CheckpointError when the tokens do not fill the grid
 */
export function positionSimilarity(
  posEmbed: TensorData,
  { grid, prefixTokens = 1 }: { grid?: Grid; prefixTokens?: number } = {},
): Float64Array[][] {
  const [, tokens, channels] = dimensions(posEmbed);
  const [rows, columns] = grid ?? squareGrid(tokens - prefixTokens);
  requireGrid(tokens, [rows, columns], prefixTokens);
  const values = toFloat64(posEmbed).subarray(prefixTokens * channels);
  const dot = (a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < channels; i++) sum += values[a * channels + i]! * values[b * channels + i]!;
    return sum;
  };
  const norms = Float64Array.from({ length: rows * columns }, (_, at) => Math.sqrt(dot(at, at)));
  return Array.from(norms, (norm, at) =>
    Array.from({ length: rows }, (_, row) =>
      Float64Array.from({ length: columns }, (_, column) => {
        const other = row * columns + column;
        const size = norm * norms[other]!;
        return size > 0 ? dot(at, other) / size : 0;
      }),
    ),
  );
}
