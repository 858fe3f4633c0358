// Windows of Swin, Liu et al. 2021 (arXiv:2103.14030): cutting maps into windows, shifting them cyclically, masks of
// shifted windows and relative positions.
import { executeOwn, hasOwnOp, type Tensor, tf } from '../engine/index.js';
import { defineOp } from '../nn/index.js';

/** Vertical and horizontal. */
export type Pair = readonly [number, number];

/** `[B, H, W, C]` → `[B · windows, h · w, C]`, windows row by row. H and W are multiples of the window. */
export function partitionWindows(map: Tensor, [h, w]: Pair): Tensor {
  const [batch, height, width, channels] = map.shape as [number, number, number, number];
  const split = tf.reshape(map, [batch, height / h, h, width / w, w, channels]);
  return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4, 5]), [-1, h * w, channels]);
}

/** The inverse of `partitionWindows` for a map of `[height, width]`. */
export function mergeWindows(windows: Tensor, [h, w]: Pair, [height, width]: Pair): Tensor {
  const channels = windows.shape[2]!;
  const split = tf.reshape(windows, [-1, height / h, width / w, h, w, channels]);
  return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4, 5]), [-1, height, width, channels]);
}

/** Moves the entries of one axis `by` places towards its start; what falls off comes in at the end. */
function rotate(x: Tensor, axis: number, by: number): Tensor {
  const size = x.shape[axis]!;
  const places = ((by % size) + size) % size;
  if (places === 0) return x;
  const begin = x.shape.map((_, i) => (i === axis ? places : 0));
  const tail = x.shape.map((length, i) => (i === axis ? length - places : length));
  const head = x.shape.map((length, i) => (i === axis ? places : length));
  return tf.concat([tf.slice(x, begin, tail), tf.slice(x, begin.fill(0), head)], axis);
}

const roll = defineOp<'x', { rows: number; columns: number }>({
  name: 'CyclicShift',
  forward: ({ x }, { rows, columns }) => rotate(rotate(x, 1, rows), 2, columns),
  saves: [],
  gradient: (dy, _saved, { rows, columns }) => ({ x: () => rotate(rotate(dy, 1, -rows), 2, -columns) }),
});

/** Moves a map `[B, H, W, C]` up and left by [rows, columns], cyclically. */
export const cyclicShift = (map: Tensor, [rows, columns]: Pair): Tensor =>
  rows % map.shape[1]! === 0 && columns % map.shape[2]! === 0 ? map : roll({ x: map }, { rows, columns });

interface Windowing {
  map: Pair;
  window: Pair;
  shift: Pair;
  merge: boolean;
}

const windows = ({ map, window, shift, merge }: Windowing) => ({
  ...{ map: { ints: map }, window: { ints: window }, shift: { ints: shift }, merge: { bool: merge } },
});

const own = defineOp<'x', Windowing>({
  name: 'OwnWindows',
  forward: ({ x }, attributes) => executeOwn('VitlabWindows', [x], 1, windows(attributes)),
  saves: [],
  gradient: (dy, _saved, { merge, ...attributes }) => ({
    x: () => executeOwn('VitlabWindows', [dy], 1, windows({ ...attributes, merge: !merge }))[0]!,
  }),
});

/** The windows of a map that is moved up and left by `shift` (not negative, less than the map). */
export function shiftedWindows(map: Tensor, window: Pair, shift: Pair): Tensor {
  if (!hasOwnOp('VitlabWindows')) return partitionWindows(cyclicShift(map, shift), window);
  return own({ x: map }, { map: [map.shape[1]!, map.shape[2]!], window, shift, merge: false });
}

/** The inverse of `shiftedWindows` for a map of `[height, width]`. */
export function mergeShifted(windows: Tensor, window: Pair, map: Pair, shift: Pair): Tensor {
  if (!hasOwnOp('VitlabWindows')) return cyclicShift(mergeWindows(windows, window, map), [-shift[0], -shift[1]]);
  return own({ x: windows }, { map, window, shift, merge: true });
}

/** Zeros at the bottom and right, up to the next multiple of [h, w]. */
export function padToMultiple(map: Tensor, [h, w]: Pair): Tensor {
  const [, height, width] = map.shape as [number, number, number, number];
  const rows = (h - (height % h)) % h;
  const columns = (w - (width % w)) % w;
  if (rows === 0 && columns === 0) return map;
  return tf.pad(map, [
    [0, 0],
    [0, rows],
    [0, columns],
    [0, 0],
  ]);
}

/** Cuts a map to [height, width] from the top left. */
export function cropMap(map: Tensor, [height, width]: Pair): Tensor {
  const [batch, rows, columns, channels] = map.shape as [number, number, number, number];
  if (rows === height && columns === width) return map;
  return tf.slice(map, [0, 0, 0, 0], [batch, height, width, channels]);
}

/**
 * For each window of a shifted map which part of the unshifted map each of its positions comes from: `[windows, h · w]`.
 * Along an axis the parts are what lies before the last window, the rest up to the shift, and what was shifted in.
 */
function shiftRegions(map: Pair, window: Pair, shift: Pair): { regions: Int32Array; windows: number } {
  const partOf = (position: number, axis: 0 | 1): number => {
    if (position < map[axis] - window[axis]) return 0;
    return position < map[axis] - shift[axis] ? 1 : 2;
  };
  const [h, w] = window;
  const regions: number[] = [];
  for (let top = 0; top < map[0]; top += h) {
    for (let left = 0; left < map[1]; left += w) {
      for (let i = 0; i < h; i++)
        for (let j = 0; j < w; j++) regions.push(3 * partOf(top + i, 0) + partOf(left + j, 1));
    }
  }
  return { regions: Int32Array.from(regions), windows: regions.length / (h * w) };
}

/** What is added to the scores of shifted windows: 0 within a region, `value` between regions; `[windows, N, N]`. */
export function shiftMask(map: Pair, window: Pair, shift: Pair, value: number): Tensor {
  return tf.tidy(() => {
    const { regions, windows } = shiftRegions(map, window, shift);
    const size = window[0] * window[1];
    const rows = tf.tensor3d(regions, [windows, size, 1], 'int32');
    const columns = tf.tensor3d(regions, [windows, 1, size], 'int32');
    return tf.where(tf.equal(rows, columns), 0, value);
  });
}

/** For each pair of positions in a window its row in the table of relative positions; `[h · w, h · w]` flattened. */
export function relativePositionIndex([h, w]: Pair): Int32Array {
  const size = h * w;
  const index = new Int32Array(size * size);
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < size; b++) {
      const rows = Math.floor(a / w) - Math.floor(b / w) + h - 1;
      const columns = (a % w) - (b % w) + w - 1;
      index[a * size + b] = rows * (2 * w - 1) + columns;
    }
  }
  return index;
}

/** Adds up the rows of `rows` that share an index. */
function sumByIndex(rows: Tensor, index: Tensor, count: number): Tensor {
  if (tf.getKernel('UnsortedSegmentSum', tf.getBackend())) {
    return tf.unsortedSegmentSum(rows, index as tf.Tensor1D, count);
  }
  const places = tf.cast(tf.oneHot(index, count), 'float32') as tf.Tensor2D;
  return tf.matMul(places, rows as tf.Tensor2D, true, false);
}

const bias = defineOp<'table' | 'index'>({
  name: 'RelativePositionBias',
  forward: ({ table, index }) => tf.transpose(tf.gather(table, index as tf.Tensor1D), [1, 0]),
  saves: ['table', 'index'],
  gradient: (dy, { table, index }) => ({
    table: () => sumByIndex(tf.transpose(dy, [1, 0]), index, table.shape[0]!),
    index: () => tf.zerosLike(index),
  }),
});

/** The bias that each pair of positions in a window gets: table `[(2h-1)(2w-1), heads]` → `[heads, N, N]`. */
export function relativePositionBias(table: Tensor, window: Pair): Tensor {
  const size = window[0] * window[1];
  const index = tf.tensor1d(relativePositionIndex(window), 'int32');
  return tf.reshape(bias({ table, index }), [table.shape[1]!, size, size]);
}
