// Mixed examples: mixup, Zhang et al. 2018 (arXiv:1710.09412), and CutMix, Yun et al. 2019 (arXiv:1905.04899).
import { type Tensor, tf } from '../engine/index.js';
import { ShapeError, UsageError } from '../errors.js';
import type { Rng } from '../random/index.js';

/** Images `[B, H, W, C]` with targets as probabilities `[B, classes]`. */
export interface MixedBatch {
  images: Tensor;
  targets: Tensor;
}

const other = (x: Tensor, permutation: Tensor): Tensor => tf.gather(x, permutation);

const blend = (x: Tensor, permutation: Tensor, share: Tensor): Tensor =>
  tf.add(tf.mul(x, share), tf.mul(other(x, permutation), tf.sub(1, share)));

/** lambda · x + (1 - lambda) · x[permutation], for images and targets. `permutation` int32 `[B]`, `lambda` scalar. */
export function mixup({ images, targets }: MixedBatch, permutation: Tensor, lambda: Tensor): MixedBatch {
  checkBatch(images, targets, permutation);
  return { images: blend(images, permutation, lambda), targets: blend(targets, permutation, lambda) };
}

/**
 * Puts a box of the permuted images into the images; the targets follow the box's share of the area.
 * @param box int32 `[4]`: top, left, bottom, right in pixels, the last two not in the box
 */
export function cutmix({ images, targets }: MixedBatch, permutation: Tensor, box: Tensor): MixedBatch {
  checkBatch(images, targets, permutation);
  const [, height, width] = images.shape as [number, number, number, number];
  return tf.tidy(() => {
    const [top, left, bottom, right] = tf.unstack(box) as [Tensor, Tensor, Tensor, Tensor];
    const within = (size: number, from: Tensor, to: Tensor): Tensor => {
      const place = tf.range(0, size, 1, 'int32');
      return tf.cast(tf.logicalAnd(tf.greaterEqual(place, from), tf.less(place, to)), 'float32');
    };
    const rows = within(height, top, bottom);
    const columns = within(width, left, right);
    const inside = tf.mul(tf.reshape(rows, [height, 1, 1]), tf.reshape(columns, [width, 1]));
    const kept = tf.sub(1, tf.div(tf.sum(inside), height * width));
    return {
      images: blend(images, permutation, tf.sub(1, inside)),
      targets: blend(targets, permutation, kept),
    };
  });
}

function checkBatch(images: Tensor, targets: Tensor, permutation: Tensor): void {
  const batch = images.shape[0];
  if (
    images.rank !== 4 ||
    targets.rank !== 2 ||
    targets.shape[0] !== batch ||
    permutation.shape.join() !== `${batch}`
  ) {
    throw new ShapeError(
      `Mixing needs images [B, H, W, C], targets [B, classes] and a permutation [B], got [${images.shape}], ` +
        `[${targets.shape}] and [${permutation.shape}].`,
    );
  }
}

/** A draw from the beta distribution Beta(alpha, alpha). @throws UsageError where alpha is not above 0 */
export function drawLambda(rng: Rng, alpha: number): number {
  if (!(alpha > 0)) throw new UsageError(`Mixing needs an alpha above 0, got ${alpha}.`);
  const [logA, logB] = [logGamma(rng, alpha), logGamma(rng, alpha)];
  return 1 / (1 + Math.exp(logB - logA));
}

/** The logarithm of a draw from Gamma(alpha, 1), Marsaglia & Tsang 2000; as such it survives a small alpha. */
function logGamma(rng: Rng, alpha: number): number {
  if (alpha < 1) return logGamma(rng, alpha + 1) + Math.log(1 - rng.uniform()) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - rng.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}

/** A box of about 1 - lambda of the image's area around a random centre, cut at the image's edges, for `cutmix`. */
export function drawBox(rng: Rng, height: number, width: number, lambda: number): [number, number, number, number] {
  const side = Math.sqrt(1 - lambda);
  const [cutHeight, cutWidth] = [Math.floor(height * side), Math.floor(width * side)];
  const [y, x] = [rng.integer(height), rng.integer(width)];
  const within = (value: number, most: number): number => Math.min(most, Math.max(0, value));
  return [
    within(y - Math.floor(cutHeight / 2), height),
    within(x - Math.floor(cutWidth / 2), width),
    within(y + Math.floor(cutHeight / 2), height),
    within(x + Math.floor(cutWidth / 2), width),
  ];
}
