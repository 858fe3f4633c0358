// 2-D convolution of channels-last images with PyTorch's weights. Engines without the kernels that its gradients need
// get it composed of slices and matrix products.
import { executeOwn, hasOwnOp, type Tensor, tf } from '../../engine/index.js';
import { ShapeError } from '../../errors.js';
import { addBias, linear } from './linear.js';
import { defineOp } from './op.js';

export interface ConvGeometry {
  stride: readonly [number, number];
  /** Zeros above and below, and left and right. */
  padding: readonly [number, number];
  groups: number;
}

type Shape4 = [number, number, number, number];

/**
 * x `[B, H, W, in]`, weight `[out, in / groups, kh, kw]`, bias `[out]` → `[B, H', W', out]` with
 * H' = ⌊(H + 2·padding - kh) / stride⌋ + 1.
 * @throws ShapeError where channels or groups do not fit, or the kernel is larger than the padded image
 */
export function conv2d(x: Tensor, weight: Tensor, geometry: ConvGeometry, bias?: Tensor): Tensor {
  const [out, perGroup, kh, kw] = weight.shape as Shape4;
  const [, height, width, channels] = x.shape as Shape4;
  const { stride, padding, groups } = geometry;
  if (x.rank !== 4 || channels !== perGroup * groups || out % groups !== 0) {
    throw new ShapeError(
      `A convolution with weight [${weight.shape}] and ${groups} groups takes [B, H, W, ${perGroup * groups}], got [${x.shape}].`,
    );
  }
  if (height + 2 * padding[0] < kh || width + 2 * padding[1] < kw) {
    throw new ShapeError(`A kernel of ${kh} × ${kw} is larger than the padded image [${x.shape}].`);
  }
  if (kh === 1 && kw === 1 && groups === 1 && isAll(stride, 1) && isAll(padding, 0)) {
    return linear(x, tf.reshape(weight, [out, channels]), bias);
  }
  const y = groups === 1 ? dense(x, weight, geometry) : grouped(x, weight, geometry);
  return bias ? addBias(y, bias) : y;
}

const isAll = (pair: readonly [number, number], value: number): boolean => pair[0] === value && pair[1] === value;

function dense(x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  if (!hasKernels('Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter')) return denseOfTaps(x, weight, geometry);
  const { image, pad } = padded(x, weight, geometry);
  const filter = tf.transpose(weight, [2, 3, 1, 0]) as tf.Tensor4D;
  return tf.conv2d(image, filter, [...geometry.stride], pad);
}

function grouped(x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  const { groups } = geometry;
  if (groups === x.shape[3]) return depthwise(x, weight, geometry);
  const weights = tf.split(weight, groups, 0);
  const parts = tf.split(x, groups, 3).map((part, i) => dense(part, weights[i]!, { ...geometry, groups: 1 }));
  return tf.concat(parts, 3);
}

const DEPTHWISE = 'DepthwiseConv2dNative';

/** Sides of kernels that our own op knows. */
const OWN_SIDES = [3, 5, 7];

const ownDepthwise = defineOp<'x' | 'weight'>({
  name: 'OwnDepthwise',
  forward: ({ x, weight }) => executeOwn('VitlabDepthwise', [x, weight], 1, { flipped: { bool: false } }),
  saves: ['x', 'weight'],
  gradient: (dy, { x, weight }) => ({
    x: () => executeOwn('VitlabDepthwise', [dy, weight], 1, { flipped: { bool: true } })[0]!,
    weight: () => executeOwn('VitlabDepthwiseGradWeight', [dy, x], 1, { kernel: { int: weight.shape[2]! } })[0]!,
  }),
});

function depthwise(x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  const [out, , kh, kw] = weight.shape as Shape4;
  const square = out === x.shape[3] && kh === kw && OWN_SIDES.includes(kh);
  if (square && keepsSize(weight, geometry) && hasOwnOp('VitlabDepthwise')) return ownDepthwise({ x, weight });
  const channels = x.shape[3]!;
  const perChannel = tf.reshape(weight, [channels, out / channels, kh, kw]);
  const filter = tf.transpose(perChannel, [2, 3, 0, 1]) as tf.Tensor4D;
  const { stride } = geometry;
  const known = hasKernels(DEPTHWISE, `${DEPTHWISE}BackpropInput`, `${DEPTHWISE}BackpropFilter`);
  if (!known || stride[0] !== stride[1]) return depthwiseOfTaps(x, filter, geometry);
  const { image, pad } = padded(x, weight, geometry);
  return tf.depthwiseConv2d(image, filter, [...stride], pad);
}

const hasKernels = (...names: string[]): boolean => names.every((name) => tf.getKernel(name, tf.getBackend()));

/** Whether the result is as large as the image: stride 1, odd kernels, zeros all around. */
const keepsSize = ({ shape }: Tensor, { stride, padding }: ConvGeometry): boolean =>
  isAll(stride, 1) && shape[2] === 2 * padding[0] + 1 && shape[3] === 2 * padding[1] + 1;

/** `same` pads like PyTorch only where the size is kept; everything else is padded here. */
function padded(x: Tensor, weight: Tensor, geometry: ConvGeometry): { image: tf.Tensor4D; pad: 'same' | 'valid' } {
  if (keepsSize(weight, geometry)) return { image: x as tf.Tensor4D, pad: 'same' };
  const { padding } = geometry;
  return { image: padImage(x, padding, padding) as tf.Tensor4D, pad: 'valid' };
}

function padImage(x: Tensor, before: readonly [number, number], after: readonly [number, number]): Tensor {
  if (isAll(before, 0) && isAll(after, 0)) return x;
  return tf.pad(x, [
    [0, 0],
    [before[0], after[0]],
    [before[1], after[1]],
    [0, 0],
  ]);
}

/** What each kernel position sees, row by row of the kernel: kh · kw tensors `[B, H', W', C]`. */
function taps(x: Tensor, [kh, kw]: readonly [number, number], { stride, padding }: ConvGeometry): Tensor[] {
  const [batch, height, width, channels] = x.shape as Shape4;
  const [sh, sw] = stride;
  const rows = Math.floor((height + 2 * padding[0] - kh) / sh) + 1;
  const columns = Math.floor((width + 2 * padding[1] - kw) / sw) + 1;
  // The image as blocks of one stride, so that every tap is a plain slice: row h is block ⌊h / sh⌋, place h mod sh.
  const blockRows = Math.ceil((height + 2 * padding[0]) / sh);
  const blockColumns = Math.ceil((width + 2 * padding[1]) / sw);
  const after: [number, number] = [blockRows * sh - height - padding[0], blockColumns * sw - width - padding[1]];
  const blocks = tf.reshape(padImage(x, padding, after), [batch, blockRows, sh * blockColumns, sw * channels]);
  const found: Tensor[] = [];
  for (let i = 0; i < kh; i++) {
    for (let j = 0; j < kw; j++) {
      const row = Math.floor(i / sh);
      const column = (i % sh) * blockColumns + Math.floor(j / sw);
      found.push(tf.slice(blocks, [0, row, column, (j % sw) * channels], [batch, rows, columns, channels]));
    }
  }
  return found;
}

function denseOfTaps(x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  const [out, channels, kh, kw] = weight.shape as Shape4;
  const rows = tf.concat(taps(x, [kh, kw], geometry), 3);
  return linear(rows, tf.reshape(tf.transpose(weight, [0, 2, 3, 1]), [out, kh * kw * channels]));
}

/** `filter` is `[kh, kw, C, multiplier]`. */
function depthwiseOfTaps(x: Tensor, filter: Tensor, geometry: ConvGeometry): Tensor {
  const [kh, kw, channels, multiplier] = filter.shape as Shape4;
  const weights = tf.unstack(tf.reshape(filter, [kh * kw, channels, multiplier]));
  const products = taps(x, [kh, kw], geometry).map((tap, i) => tf.mul(tf.expandDims(tap, -1), weights[i]!));
  const sum = tf.addN(products);
  return tf.reshape(sum, [...sum.shape.slice(0, 3), channels * multiplier]);
}
