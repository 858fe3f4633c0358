// What kernels share that work on the rows of `[rows, width]`: sums within rows, and down columns.
import type { tf } from '../tf.js';
import { type Program, release, run, sizeOf, unwritten, zeros } from './program.js';

/** Rows and width of a tensor, all axes but the last taken together. */
export function rowsOf(x: tf.TensorInfo): { rows: number; width: number } {
  const width = x.shape.at(-1) ?? 1;
  return { rows: width === 0 ? 0 : sizeOf(x) / width, width };
}

const ROW_THREADS = 64;

/** How a workgroup shares rows: `lanes` threads a row, a power of two, about eight numbers each where rows are long. */
function sharing(width: number): { lanes: number; rowsEach: number } {
  let lanes = 1;
  while (lanes < ROW_THREADS && lanes * 8 < width) lanes *= 2;
  return { lanes, rowsEach: ROW_THREADS / lanes };
}

/** `row_sum`, the sum of a value over the threads that share a row; `row_of` and `lane_of` say which one is whose. */
const ROW_SUM = `
var<workgroup> parts: array<vec2f, THREADS>;

fn lane_of(thread: u32) -> u32 { return thread % LANES; }
fn row_of(group: u32, thread: u32) -> u32 { return group * (THREADS / LANES) + thread / LANES; }

fn row_sum(value: vec2f, thread: u32) -> vec2f {
  parts[thread] = value;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane_of(thread) < half) {
      parts[thread] += parts[thread + half];
    }
  }
  workgroupBarrier();
  let sum = parts[thread - lane_of(thread)];
  workgroupBarrier();
  return sum;
}
`;

/** A program whose workgroups share rows of `width`. Its code finds \`WIDTH\`, \`uniforms.rows\` and what `ROW_SUM` has. */
export function rowProgram(
  width: number,
  program: Pick<Program, 'name' | 'writes' | 'reads' | 'uniforms' | 'code'>,
): Program {
  return {
    ...program,
    threads: ROW_THREADS,
    constants: { WIDTH: width, LANES: sharing(width).lanes },
    uniforms: { rows: 'u32', ...program.uniforms },
    code: ROW_SUM + program.code,
  };
}

/** How many workgroups a row program takes. */
export const rowGroups = (rows: number, width: number): number => Math.ceil(rows / sharing(width).rowsEach);

const COLUMN_THREADS = 256;
const COLUMNS = 64;
/** Rows that a workgroup of the first pass adds up. */
const CHUNK = 128;

/** Sums of `term` down chunks of rows. A workgroup has 64 columns, and 4 threads a column that share its rows. */
const columnProgram = (width: number, name: string, reads: readonly string[], term: string): Program => ({
  ...{ name, threads: COLUMN_THREADS, writes: ['sums'], reads },
  constants: { WIDTH: width, COLUMNS },
  uniforms: { rows: 'u32', chunk: 'u32' },
  code: `
var<workgroup> parts: array<f32, THREADS>;

fn term(row: u32, column: u32) -> f32 { return ${term}; }

fn main(group: u32, thread: u32) {
  let blocks = (WIDTH + COLUMNS - 1u) / COLUMNS;
  let chunk = group / blocks;
  let column = (group % blocks) * COLUMNS + thread % COLUMNS;
  let end = min(uniforms.rows, (chunk + 1u) * uniforms.chunk);
  var sum = 0.0;
  if (column < WIDTH) {
    for (var row = chunk * uniforms.chunk + thread / COLUMNS; row < end; row += THREADS / COLUMNS) {
      sum += term(row, column);
    }
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (thread < COLUMNS && column < WIDTH) {
    for (var part = thread + COLUMNS; part < THREADS; part += COLUMNS) {
      sum += parts[part];
    }
    sums[chunk * WIDTH + column] = sum;
  }
}
`,
});

/** What is summed: WGSL of \`row\` and \`column\` over the tensors that it names. */
export interface Term {
  readonly name: string;
  readonly reads: Readonly<Record<string, tf.TensorInfo>>;
  readonly code: string;
}

/** The sums of a term over all rows, \`[width]\`: in chunks, then over the chunks, always in the same order. */
export function columnSums({ rows, width }: { rows: number; width: number }, term: Term): tf.TensorInfo {
  if (rows === 0) return zeros([width]);
  const pass = ({ name, reads, code }: Term, count: number, chunk: number): tf.TensorInfo => {
    const chunks = Math.ceil(count / chunk);
    const sums = unwritten(chunks === 1 ? [width] : [chunks, width]);
    run(columnProgram(width, name, Object.keys(reads), code), {
      writes: [sums],
      reads: Object.values(reads),
      uniforms: { rows: count, chunk },
      groups: chunks * Math.ceil(width / COLUMNS),
    });
    return sums;
  };
  const first = pass(term, rows, CHUNK);
  const chunks = Math.ceil(rows / CHUNK);
  if (chunks === 1) return first;
  const total = pass(plainTerm(first), chunks, chunks);
  release(first);
  return total;
}

/** The numbers of a tensor as they are. */
export const plainTerm = (x: tf.TensorInfo): Term => ({
  ...{ name: 'ColumnSum', reads: { x }, code: 'x[row * WIDTH + column]' },
});
