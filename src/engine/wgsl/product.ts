// Matrix products. A workgroup has a square of the result. It goes through the depth in slices, which it keeps in shared
// memory depth by depth, whatever the order of the factors in memory, so that transposed factors cost nothing; a thread
// adds up 8 × 8 numbers in registers. Where squares are few and the depth is large, as in gradients of weights, several
// workgroups share the depth.
import { tf } from '../tf.js';
import { checkShape, registerKernel } from './kernel.js';
import { type Program, release, run, sizeOf, unwritten } from './program.js';
import { columnSums, plainTerm } from './rows.js';

/** Rows and columns of a square, and depths of a slice. */
const SQUARE = 64;
const SLICE = 16;
const THREADS = 64;
/** Rows and columns that pay the squares: with fewer, tfjs's own shaders for small products are taken. */
const LEAST = 32;
/** Workgroups that keep a GPU busy, and the least depth that one of them is given. */
const WANTED_GROUPS = 128;
const LEAST_DEPTH = 256;

interface Order {
  transposeA: boolean;
  transposeB: boolean;
}

const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7];
const lines = (line: (i: number) => string): string => EIGHT.map(line).join('\n');

/** `parts` sums of the product, each over a share of the depth. */
const programOf = ({ transposeA, transposeB }: Order, biased: boolean): Program => ({
  ...{ name: 'VitlabMatMul', threads: THREADS, writes: ['c'], reads: biased ? ['a', 'b', 'bias'] : ['a', 'b'] },
  constants: { SQUARE, SLICE, A_BY_DEPTH: Number(transposeA), B_BY_DEPTH: Number(!transposeB) },
  uniforms: { rows: 'u32', columns: 'u32', depth: 'u32', share: 'u32' },
  code: `
const FOURS = SQUARE / 4u;
// one more, so that threads beside each other write to different banks
const STRIDE = FOURS + 1u;
var<workgroup> left: array<vec4f, SLICE * STRIDE>;
var<workgroup> right: array<vec4f, SLICE * STRIDE>;

fn a_at(row: u32, depth: u32, end: u32) -> f32 {
  if (row >= uniforms.rows || depth >= end) { return 0.0; }
  return a[select(row * uniforms.depth + depth, depth * uniforms.rows + row, A_BY_DEPTH == 1u)];
}

fn b_at(column: u32, depth: u32, end: u32) -> f32 {
  if (column >= uniforms.columns || depth >= end) { return 0.0; }
  return b[select(column * uniforms.depth + depth, depth * uniforms.columns + column, B_BY_DEPTH == 1u)];
}

// Which four rows or columns, and which depth: neighbouring threads read what are neighbours in memory.
fn place(i: u32, by_depth: u32) -> vec2u {
  return select(vec2u(i / SLICE, i % SLICE), vec2u(i % FOURS, i / FOURS), by_depth == 1u);
}

fn main(group: u32, thread: u32) {
  let across = (uniforms.columns + SQUARE - 1u) / SQUARE;
  let squares = across * ((uniforms.rows + SQUARE - 1u) / SQUARE);
  let part = group / squares;
  let first_row = group % squares / across * SQUARE;
  let first_column = group % squares % across * SQUARE;
  let begin = part * uniforms.share;
  let end = min(uniforms.depth, begin + uniforms.share);
  let own_row = thread / 8u;
  let own_column = thread % 8u;
${lines((i) => `  var sum${i} = array<vec4f, 2>();`)}
  for (var at = begin; at < end; at += SLICE) {
    for (var i = thread; i < SLICE * FOURS; i += THREADS) {
      let of_a = place(i, A_BY_DEPTH);
      let row = first_row + 4u * of_a.x;
      let a_depth = at + of_a.y;
      left[of_a.y * STRIDE + of_a.x] = vec4f(
        a_at(row, a_depth, end), a_at(row + 1u, a_depth, end), a_at(row + 2u, a_depth, end), a_at(row + 3u, a_depth, end)
      );
      let of_b = place(i, B_BY_DEPTH);
      let column = first_column + 4u * of_b.x;
      let b_depth = at + of_b.y;
      right[of_b.y * STRIDE + of_b.x] = vec4f(
        b_at(column, b_depth, end), b_at(column + 1u, b_depth, end),
        b_at(column + 2u, b_depth, end), b_at(column + 3u, b_depth, end)
      );
    }
    workgroupBarrier();
    for (var depth = 0u; depth < SLICE; depth++) {
      let a0 = left[depth * STRIDE + 2u * own_row];
      let a1 = left[depth * STRIDE + 2u * own_row + 1u];
      let b0 = right[depth * STRIDE + 2u * own_column];
      let b1 = right[depth * STRIDE + 2u * own_column + 1u];
${lines((i) => {
  const factor = `vec4f(a${i >> 2}.${'xyzw'[i & 3]})`;
  return `      sum${i}[0] = fma(${factor}, b0, sum${i}[0]);\n      sum${i}[1] = fma(${factor}, b1, sum${i}[1]);`;
})}
    }
    workgroupBarrier();
  }
  let row = first_row + 8u * own_row;
  let column = first_column + 8u * own_column;
${lines((i) => `  write(part, row + ${i}u, column, sum${i}[0]);\n  write(part, row + ${i}u, column + 4u, sum${i}[1]);`)}
}

fn write(part: u32, row: u32, column: u32, sums: vec4f) {
  if (row >= uniforms.rows) { return; }
  for (var i = 0u; i < 4u && column + i < uniforms.columns; i++) {
    c[(part * uniforms.rows + row) * uniforms.columns + column + i] = sums[i]${biased ? ' + bias[column + i]' : ''};
  }
}
`,
});

/** a b, `[rows, columns]`, of matrices or their transposes, with a bias `[columns]`. */
function product(a: tf.TensorInfo, b: tf.TensorInfo, order: Order, bias?: tf.TensorInfo): tf.TensorInfo {
  const [rows, depth] = sides(a, order.transposeA);
  const [, columns] = sides(b, order.transposeB);
  checkShape('The first factor of a product', a, order.transposeA ? [depth, rows] : [rows, depth]);
  checkShape('The second factor of a product', b, order.transposeB ? [columns, depth] : [depth, columns]);
  if (Math.min(rows, columns) < LEAST || depth === 0) return productOfTfjs(a, b, order, bias);
  const squares = Math.ceil(rows / SQUARE) * Math.ceil(columns / SQUARE);
  const most = bias ? 1 : Math.min(Math.ceil(WANTED_GROUPS / squares), Math.ceil(depth / LEAST_DEPTH));
  const share = Math.max(SLICE, Math.ceil(depth / most / SLICE) * SLICE);
  const parts = Math.max(1, Math.ceil(depth / share));
  const sums = unwritten(parts === 1 ? [rows, columns] : [parts, rows, columns]);
  run(programOf(order, bias !== undefined), {
    writes: [sums],
    reads: bias ? [a, b, bias] : [a, b],
    uniforms: { rows, columns, depth, share },
    groups: squares * parts,
  });
  if (parts === 1) return sums;
  const total = columnSums({ rows: parts, width: sizeOf(sums) / parts }, plainTerm(sums));
  release(sums);
  return { ...total, shape: [rows, columns] };
}

const sides = ({ shape }: tf.TensorInfo, transposed: boolean): [number, number] => {
  const [first = 0, second = 0] = shape;
  return transposed ? [second, first] : [first, second];
};

const productOfTfjs = (a: tf.TensorInfo, b: tf.TensorInfo, order: Order, bias?: tf.TensorInfo): tf.TensorInfo =>
  tf.getKernel('_FusedMatMul', 'webgpu').kernelFunc({
    inputs: { a, b, ...(bias && { bias }) },
    attrs: { ...order },
    backend: tf.backend(),
  }) as tf.TensorInfo;

registerKernel<Order>('VitlabMatMul', ([a, b], order) => [product(a!, b!, order)]);

/** x `[rows, in]`, weight `[out, in]`, bias `[out]` → x Wᵀ + b. */
registerKernel('VitlabLinear', ([x, weight, bias]) => {
  const [rows = 0, width = 0] = x!.shape;
  const [out = 0] = weight!.shape;
  checkShape('The input of a linear layer', x!, [rows, width]);
  checkShape('The weight of a linear layer', weight!, [out, width]);
  checkShape('The bias of a linear layer', bias!, [out]);
  return [product(x!, weight!, { transposeA: false, transposeB: true }, bias!)];
});
