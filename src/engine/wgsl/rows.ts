// What kernels share that work on the rows of `[rows, width]`: sums within rows, and down columns.
import type { tf } from '../tf.js';
import { elementGroups, elementwise } from './elementwise.js';
import { type Program, release, run, sizeOf, unwritten, zeros } from './program.js';
import { hasSubgroups, SUBGROUP_THREADS } from './subgroups.js';

/** Rows and width of a tensor, all axes but the last taken together. */
export function rowsOf(x: tf.TensorInfo): { rows: number; width: number } {
  const width = x.shape.at(-1) ?? 1;
  return { rows: width === 0 ? 0 : sizeOf(x) / width, width };
}

const ROW_THREADS = SUBGROUP_THREADS;

/** How a workgroup shares rows: `lanes` threads a row, a power of two, about eight numbers each where rows are long. */
function sharing(width: number): { lanes: number; rowsEach: number } {
  let lanes = 1;
  while (lanes < ROW_THREADS && lanes * 8 < width) lanes *= 2;
  return { lanes, rowsEach: ROW_THREADS / lanes };
}

const ROW_CODE = `
var<workgroup> parts: array<vec2f, THREADS>;

fn lane_of(thread: u32) -> u32 { return thread % LANES; }
`;

const ROW_SUM = `
fn row_sum(value: vec2f, thread: u32, subgroup: u32) -> vec2f {
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

/** Within subgroups, whose threads are neighbours, and where a row has several, over those. */
const ROW_SUM_BY_SUBGROUPS = `
fn row_sum(value: vec2f, thread: u32, subgroup: u32) -> vec2f {
  var sum = value;
  for (var step = 1u; step < min(LANES, subgroup); step *= 2u) {
    sum += subgroupShuffleXor(sum, step);
  }
  if (LANES > subgroup) {
    parts[thread] = sum;
    workgroupBarrier();
    let first = thread - lane_of(thread);
    sum = vec2f();
    for (var other = 0u; other < LANES; other += subgroup) {
      sum += parts[first + other];
    }
    workgroupBarrier();
  }
  return sum;
}
`;

/**
 * A program whose workgroups share rows of `width`: WGSL with `fn rows(row: u32, thread: u32, subgroup: u32)`, which all
 * threads of a workgroup go through, also for rows past the last. `lane_of(thread)` is which of a row's `LANES` threads
 * it is, and `row_sum(value, thread, subgroup)` the sum of a value over them.
 */
export function rowProgram(
  width: number,
  program: Pick<Program, 'name' | 'writes' | 'reads' | 'uniforms' | 'code'>,
): Program {
  const subgroups = hasSubgroups();
  return {
    ...program,
    subgroups,
    threads: ROW_THREADS,
    constants: { WIDTH: width, LANES: sharing(width).lanes },
    uniforms: { rows: 'u32', ...program.uniforms },
    code: `${ROW_CODE}${subgroups ? ROW_SUM_BY_SUBGROUPS : ROW_SUM}${program.code}
fn main(group: u32, thread: u32${subgroups ? ', subgroup: u32' : ''}) {
  rows(group * (THREADS / LANES) + thread / LANES, thread, ${subgroups ? 'subgroup' : '1u'});
}
`,
  };
}

/** How many workgroups a row program takes. */
export const rowGroups = (rows: number, width: number): number => Math.ceil(rows / sharing(width).rowsEach);

const COLUMN_THREADS = 256;
const COLUMNS = 64;
/** Rows that a workgroup adds up. */
const CHUNK = 128;

/** Rows that are too few to share a column between threads. */
const FEW = 16;

/** Sums of `term` down few rows: a thread has a column. */
const fewRowsProgram = (width: number, name: string, reads: readonly string[], term: string): Program =>
  elementwise({
    ...{ name: `${name}OfFew`, writes: ['sums'], reads },
    constants: { WIDTH: width },
    uniforms: { rows: 'u32' },
    code: `
fn each(column: u32) {
  var sum = 0.0;
  for (var row = 0u; row < uniforms.rows; row++) {
    sum += ${term};
  }
  sums[column] = sum;
}
`,
  });

/** Sums of `term` down chunks of rows. A workgroup has 64 columns, and 4 threads a column that share its rows. */
const columnProgram = (width: number, name: string, reads: readonly string[], term: string): Program => ({
  ...{ name, threads: COLUMN_THREADS, writes: ['sums'], reads },
  constants: { WIDTH: width, COLUMNS, CHUNK },
  uniforms: { rows: 'u32' },
  code: `
var<workgroup> parts: array<f32, THREADS>;

fn term(row: u32, column: u32) -> f32 { return ${term}; }

fn main(group: u32, thread: u32) {
  let blocks = (WIDTH + COLUMNS - 1u) / COLUMNS;
  let chunk = group / blocks;
  let column = (group % blocks) * COLUMNS + thread % COLUMNS;
  let end = min(uniforms.rows, (chunk + 1u) * CHUNK);
  var sum = 0.0;
  if (column < WIDTH) {
    for (var row = chunk * CHUNK + thread / COLUMNS; row < end; row += THREADS / COLUMNS) {
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

/** What is summed: WGSL of `row` and `column` over the tensors that it names. */
export interface Term {
  readonly name: string;
  readonly reads: Readonly<Record<string, tf.TensorInfo>>;
  readonly code: string;
}

/** The sums of a term over all rows, `[width]`, always added up in the same order. */
export function columnSums({ rows, width }: { rows: number; width: number }, term: Term): tf.TensorInfo {
  if (rows === 0) return zeros([width]);
  const { name, code } = term;
  const [names, reads] = [Object.keys(term.reads), Object.values(term.reads)];
  if (rows <= FEW) {
    const sums = unwritten([width]);
    const uniforms = { count: width, rows };
    run(fewRowsProgram(width, name, names, code), { writes: [sums], reads, uniforms, groups: elementGroups(width) });
    return sums;
  }
  const chunks = Math.ceil(rows / CHUNK);
  const sums = unwritten(chunks === 1 ? [width] : [chunks, width]);
  const groups = chunks * Math.ceil(width / COLUMNS);
  run(columnProgram(width, name, names, code), { writes: [sums], reads, uniforms: { rows }, groups });
  if (chunks === 1) return sums;
  const total = columnSums({ rows: chunks, width }, plainTerm(sums));
  release(sums);
  return total;
}

/** The numbers of a tensor as they are. */
export const plainTerm = (x: tf.TensorInfo): Term => ({
  ...{ name: 'ColumnSum', reads: { x }, code: 'x[row * WIDTH + column]' },
});
