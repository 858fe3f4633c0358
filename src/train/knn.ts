// The weighted k-nearest-neighbour classifier on features, Wu et al. 2018 (arXiv:1805.01978, section 3.4): it tells what
// features are worth without training anything.
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import type { Features } from './features.js';

export interface KnnOptions {
  /** Neighbours that vote. Default 20. */
  neighbours?: number;
  /** A neighbour of cosine similarity s votes with exp(s / temperature). Default 0.07. */
  temperature?: number;
}

const QUERIES_AT_ONCE = 256;

/**
 * The class of each query by the votes of its nearest neighbours in `memory`, by cosine similarity; int32 `[queries]`.
 * @throws UsageError for more neighbours than there are, or a temperature that is not above 0; ShapeError where the
 * features differ in length
 */
export async function knnPredict(memory: Features, queries: Features, options: KnnOptions = {}): Promise<Int32Array> {
  const { neighbours = 20, temperature = 0.07 } = options;
  const known = memory.labels.length;
  if (!(Number.isInteger(neighbours) && neighbours >= 1 && neighbours <= known)) {
    throw new UsageError(`There are ${known} features to search: neighbours must be 1 to ${known}, got ${neighbours}.`);
  }
  if (!(temperature > 0)) throw new UsageError(`temperature must be above 0, got ${temperature}.`);
  if (memory.dim !== queries.dim) {
    throw new ShapeError(`Features of ${queries.dim} numbers cannot be compared with features of ${memory.dim}.`);
  }
  const keys = tf.tidy(() => unitRows(tf.tensor2d(memory.values, [known, memory.dim])));
  const predicted = new Int32Array(queries.labels.length);
  try {
    for (let start = 0; start < predicted.length; start += QUERIES_AT_ONCE) {
      const count = Math.min(QUERIES_AT_ONCE, predicted.length - start);
      const rows = queries.values.subarray(start * queries.dim, (start + count) * queries.dim);
      const { values, indices } = tf.tidy(() => {
        const unit = unitRows(tf.tensor2d(rows, [count, queries.dim]));
        return tf.topk(tf.matMul(unit, keys, false, true), neighbours);
      });
      const [similarity, index] = await Promise.all([values.data(), indices.data()]);
      tf.dispose([values, indices]);
      for (let query = 0; query < count; query++) {
        const votes = new Map<number, number>();
        for (let at = query * neighbours; at < (query + 1) * neighbours; at++) {
          const label = memory.labels[index[at]!]!;
          // less the largest exponent, which changes no order and cannot overflow
          votes.set(label, (votes.get(label) ?? 0) + Math.exp((similarity[at]! - 1) / temperature));
        }
        predicted[start + query] = [...votes].reduce((best, vote) => (vote[1] > best[1] ? vote : best))[0];
      }
    }
  } finally {
    keys.dispose();
  }
  return predicted;
}

/** The share of queries whose class the neighbours tell. @throws as `knnPredict` */
export async function knnAccuracy(memory: Features, queries: Features, options: KnnOptions = {}): Promise<number> {
  const predicted = await knnPredict(memory, queries, options);
  return predicted.filter((label, i) => label === queries.labels[i]).length / predicted.length;
}

/** Rows of length 1; a row of zeros stays. */
const unitRows = (x: Tensor): Tensor => tf.div(x, tf.maximum(tf.norm(x, 'euclidean', 1, true), 1e-12));
