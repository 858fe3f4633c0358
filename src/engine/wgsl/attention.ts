// Scaled dot-product attention without stored scores, after FlashAttention, Dao et al. 2022 (arXiv:2205.14135): a thread
// has one query (in the gradient by keys and values: one key) and meets the others tile by tile in shared memory. It
// reads q, k and v from where the projection put them, `[batch, tokens, 3 · heads · size]`.
import { ShapeError } from '../../errors.js';
import type { tf } from '../tf.js';
import { elementGroups, elementwise } from './elementwise.js';
import { checkShape, registerKernel } from './kernel.js';
import { type Program, release, run, sizeOf, unwritten, zeros } from './program.js';
import { columnSums, plainTerm } from './rows.js';

interface Attributes {
  heads: number;
  scale: number;
}

interface Shape extends Attributes {
  batch: number;
  tokens: number;
  /** Of a head. */
  size: number;
  masks: number;
}

/** Rows of a workgroup, one a thread. */
const ROWS = 64;
/** Sequences whose gradients of the bias one thread adds up. */
const SEQUENCES = 32;

/** @throws ShapeError where qkv, bias and mask do not fit each other */
function shapeOf(qkv: tf.TensorInfo, bias: tf.TensorInfo, mask: tf.TensorInfo, { heads, scale }: Attributes): Shape {
  const [batch = 0, tokens = 0, width = 0] = qkv.shape;
  if (qkv.shape.length !== 3 || heads < 1 || width % (3 * heads) !== 0) {
    throw new ShapeError(`qkv must be [batch, tokens, 3 · ${heads} heads · size], got [${qkv.shape}].`);
  }
  if (sizeOf(bias) > 0) checkShape('The bias of attention', bias, [heads, tokens, tokens]);
  const masks = sizeOf(mask) > 0 ? mask.shape[0]! : 1;
  if (sizeOf(mask) > 0) checkShape('The mask of attention', mask, [masks, tokens, tokens]);
  if (batch % masks !== 0) throw new ShapeError(`${batch} sequences are no multiple of ${masks} masks.`);
  return { batch, tokens, heads, size: width / (3 * heads), scale, masks };
}

/** A program over attention's tensors. What is empty of bias and mask is left out. */
function attentionProgram(
  { heads, size }: Shape,
  { bias, mask }: Added,
  { reads, code, ...program }: Pick<Program, 'name' | 'writes' | 'reads' | 'code'>,
): Program {
  const quads = Math.ceil(size / 4);
  // two tiles of whole pairs of tokens, in three quarters of the 16 KB that every device has
  const tile = 2 * Math.max(1, Math.min(8, Math.floor(192 / quads)));
  return {
    ...program,
    threads: ROWS,
    reads: [...reads, ...(bias ? ['bias'] : []), ...(mask ? ['mask'] : [])],
    constants: { HEADS: heads, SIZE: size, QUADS: quads, TILE: tile, WIDTH: heads * size },
    uniforms: { sequences: 'u32', tokens: 'u32', masks: 'u32', scale: 'f32' },
    code: `
fn four(a: f32, b: f32, c: f32, d: f32, quad: u32) -> vec4f {
  return select(vec4f(), vec4f(a, b, c, d), vec4u(0u, 1u, 2u, 3u) + 4u * quad < vec4u(SIZE));
}

// Where the numbers of a head are in a token of \`[batch, tokens, heads · size]\`, and of q, k or v in one of qkv.
fn head_start(sequence: u32, token: u32) -> u32 {
  return ((sequence / HEADS) * uniforms.tokens + token) * WIDTH + (sequence % HEADS) * SIZE;
}
fn part_start(sequence: u32, token: u32, part: u32) -> u32 {
  return (((sequence / HEADS) * uniforms.tokens + token) * 3u + part) * WIDTH + (sequence % HEADS) * SIZE;
}

fn qkv_quad(start: u32, quad: u32) -> vec4f {
  let at = start + 4u * quad;
  return four(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u], quad);
}

// What is added to the score of a query and a key.
fn added(sequence: u32, query: u32, key: u32) -> f32 {
  var sum = 0.0;
  ${bias ? 'sum += bias[((sequence % HEADS) * uniforms.tokens + query) * uniforms.tokens + key];' : ''}
  ${mask ? 'sum += mask[(((sequence / HEADS) % uniforms.masks) * uniforms.tokens + query) * uniforms.tokens + key];' : ''}
  return sum;
}
${code}`,
  };
}

/** For programs that read the gradient of the output. */
const DY_QUAD = `
fn dy_quad(start: u32, quad: u32) -> vec4f {
  let at = start + 4u * quad;
  return four(dy[at], dy[at + 1u], dy[at + 2u], dy[at + 3u], quad);
}
`;

/** The sequence and the row of a thread. Rows past the last compute it again, since all threads meet at the barriers. */
const OWN_ROW = `
  let blocks = (uniforms.tokens + THREADS - 1u) / THREADS;
  let sequence = group / blocks;
  let place = (group % blocks) * THREADS + thread;
  let own = min(place, uniforms.tokens - 1u);
`;

/** Loads tiles of what `first` and `second` give for a token and a quad, and then does `each` for its tokens. */
const overTiles = (first: string, second: string, each: string): string => `
  for (var start = 0u; start < uniforms.tokens; start += TILE) {
    workgroupBarrier();
    for (var i = thread; i < TILE * QUADS; i += THREADS) {
      let token = min(start + i / QUADS, uniforms.tokens - 1u);
      let quad = i % QUADS;
      tile_a[i] = ${first};
      tile_b[i] = ${second};
    }
    workgroupBarrier();
    let count = min(TILE, uniforms.tokens - start);
    ${each}
  }
`;

const TILES = `
var<workgroup> tile_a: array<vec4f, TILE * QUADS>;
var<workgroup> tile_b: array<vec4f, TILE * QUADS>;

fn sum_of(x: vec4f) -> f32 { return x.x + x.y + x.z + x.w; }
`;

/** Writes four numbers of a head, or as many as it has. */
const put = (to: string, start: string, value: string): string => `
    for (var k = 0u; k < min(4u, SIZE - 4u * quad); k++) {
      ${to}[${start} + 4u * quad + k] = ${value}[k];
    }`;

const KEY_TILES = (each: string): string =>
  overTiles('qkv_quad(part_start(sequence, token, 1u), quad)', 'qkv_quad(part_start(sequence, token, 2u), quad)', each);

/** Two keys at once: their scores stay in registers, and what is summed is scaled anew once for both. */
const FORWARD = `${TILES}
fn main(group: u32, thread: u32) {
${OWN_ROW}
  var query: array<vec4f, QUADS>;
  var mixed: array<vec4f, QUADS>;
  for (var quad = 0u; quad < QUADS; quad++) {
    query[quad] = qkv_quad(part_start(sequence, own, 0u), quad) * uniforms.scale;
  }
  var largest = -1e30;
  var total = 0.0;
${KEY_TILES(`
    for (var j = 0u; j < count; j += 2u) {
      let key = j * QUADS;
      let next = key + QUADS;
      var products = vec4f();
      var next_products = vec4f();
      for (var quad = 0u; quad < QUADS; quad++) {
        products += query[quad] * tile_a[key + quad];
        next_products += query[quad] * tile_a[next + quad];
      }
      let scores = vec2f(
        score(sum_of(products), sequence, own, start + j),
        score(sum_of(next_products), sequence, own, start + j + 1u),
      );
      let top = max(largest, max(scores.x, scores.y));
      let shrink = exp(largest - top);
      largest = top;
      let weights = exp(scores - top);
      total = total * shrink + weights.x + weights.y;
      for (var quad = 0u; quad < QUADS; quad++) {
        mixed[quad] = mixed[quad] * shrink + weights.x * tile_b[key + quad] + weights.y * tile_b[next + quad];
      }
    }
`)}
  if (place < uniforms.tokens) {
    for (var quad = 0u; quad < QUADS; quad++) {
      let value = mixed[quad] / total;
      ${put('y', 'head_start(sequence, own)', 'value')}
    }
    log_sum[sequence * uniforms.tokens + own] = largest + log(total);
  }
}

/** Of a query and a key; where there is no such key, so low that it has no weight. */
fn score(product: f32, sequence: u32, query: u32, key: u32) -> f32 {
  if (key >= uniforms.tokens) { return -1e38; }
  return product + added(sequence, query, key);
}
`;

/** By q. `delta` is, for each query, the mean of the weights' gradients. */
const GRAD_QUERIES = `${TILES}${DY_QUAD}
fn main(group: u32, thread: u32) {
${OWN_ROW}
  var query: array<vec4f, QUADS>;
  var gradient: array<vec4f, QUADS>;
  var result: array<vec4f, QUADS>;
  for (var quad = 0u; quad < QUADS; quad++) {
    query[quad] = qkv_quad(part_start(sequence, own, 0u), quad) * uniforms.scale;
    gradient[quad] = dy_quad(head_start(sequence, own), quad);
  }
  let log_total = log_sum[sequence * uniforms.tokens + own];
  let centre = delta[sequence * uniforms.tokens + own];
${KEY_TILES(`
    for (var j = 0u; j < count; j++) {
      var products = vec4f();
      var changes = vec4f();
      for (var quad = 0u; quad < QUADS; quad++) {
        products += query[quad] * tile_a[j * QUADS + quad];
        changes += gradient[quad] * tile_b[j * QUADS + quad];
      }
      let weight = exp(sum_of(products) + added(sequence, own, start + j) - log_total);
      let change = weight * (sum_of(changes) - centre);
      for (var quad = 0u; quad < QUADS; quad++) {
        result[quad] += change * tile_a[j * QUADS + quad];
      }
    }
`)}
  if (place < uniforms.tokens) {
    for (var quad = 0u; quad < QUADS; quad++) {
      let value = result[quad] * uniforms.scale;
      ${put('dqkv', 'part_start(sequence, own, 0u)', 'value')}
    }
  }
}
`;

/** By k and v. */
const GRAD_KEYS = `${TILES}${DY_QUAD}
fn main(group: u32, thread: u32) {
${OWN_ROW}
  var key: array<vec4f, QUADS>;
  var value: array<vec4f, QUADS>;
  var by_key: array<vec4f, QUADS>;
  var by_value: array<vec4f, QUADS>;
  for (var quad = 0u; quad < QUADS; quad++) {
    key[quad] = qkv_quad(part_start(sequence, own, 1u), quad) * uniforms.scale;
    value[quad] = qkv_quad(part_start(sequence, own, 2u), quad);
  }
${overTiles(
  'qkv_quad(part_start(sequence, token, 0u), quad)',
  'dy_quad(head_start(sequence, token), quad)',
  `
    for (var j = 0u; j < count; j++) {
      var products = vec4f();
      var changes = vec4f();
      for (var quad = 0u; quad < QUADS; quad++) {
        products += key[quad] * tile_a[j * QUADS + quad];
        changes += value[quad] * tile_b[j * QUADS + quad];
      }
      let at = sequence * uniforms.tokens + start + j;
      let weight = exp(sum_of(products) + added(sequence, start + j, own) - log_sum[at]);
      let change = weight * (sum_of(changes) - delta[at]);
      for (var quad = 0u; quad < QUADS; quad++) {
        by_value[quad] += weight * tile_b[j * QUADS + quad];
        by_key[quad] += change * tile_a[j * QUADS + quad];
      }
    }
`,
)}
  if (place < uniforms.tokens) {
    for (var quad = 0u; quad < QUADS; quad++) {
      let of_key = by_key[quad] * uniforms.scale;
      let of_value = by_value[quad];
      ${put('dqkv', 'part_start(sequence, own, 1u)', 'of_key')}
      ${put('dqkv', 'part_start(sequence, own, 2u)', 'of_value')}
    }
  }
}
`;

/** By the bias, over some sequences: a thread has one query and one key of one head. */
const GRAD_BIAS = `${DY_QUAD}
fn main(group: u32, thread: u32) {
  let square = uniforms.tokens * uniforms.tokens;
  let blocks = (HEADS * square + THREADS - 1u) / THREADS;
  let chunk = group / blocks;
  let place = (group % blocks) * THREADS + thread;
  if (place < HEADS * square) {
    let query = place % square / uniforms.tokens;
    let key = place % uniforms.tokens;
    var sum = 0.0;
    let end = min((chunk + 1u) * ${SEQUENCES}u, uniforms.sequences);
    for (var b = chunk * ${SEQUENCES}u; b < end; b++) {
      let sequence = b * HEADS + place / square;
      var products = vec4f();
      var changes = vec4f();
      for (var quad = 0u; quad < QUADS; quad++) {
        products += qkv_quad(part_start(sequence, query, 0u), quad) * qkv_quad(part_start(sequence, key, 1u), quad);
        changes += dy_quad(head_start(sequence, query), quad) * qkv_quad(part_start(sequence, key, 2u), quad);
      }
      let score = dot(products, vec4f(1.0)) * uniforms.scale + added(sequence, query, key);
      let at = sequence * uniforms.tokens + query;
      sum += exp(score - log_sum[at]) * (dot(changes, vec4f(1.0)) - delta[at]);
    }
    sums[chunk * HEADS * square + place] = sum;
  }
}
`;

/** The products of output and gradient, head by head: `[batch, heads, tokens]`. */
const delta = (heads: number, size: number): Program =>
  elementwise({
    ...{ name: 'VitlabAttentionDelta', writes: ['delta'], reads: ['dy', 'y'] },
    constants: { HEADS: heads, SIZE: size },
    uniforms: { tokens: 'u32' },
    code: `
fn each(i: u32) {
  let token = i % uniforms.tokens;
  let sequence = i / uniforms.tokens;
  let at = (((sequence / HEADS) * uniforms.tokens + token) * HEADS + sequence % HEADS) * SIZE;
  var sum = 0.0;
  for (var k = 0u; k < SIZE; k++) {
    sum += dy[at + k] * y[at + k];
  }
  delta[i] = sum;
}
`,
  });

/** Which of bias and mask there are. */
interface Added {
  bias: tf.TensorInfo | undefined;
  mask: tf.TensorInfo | undefined;
}

const unlessEmpty = (tensor: tf.TensorInfo): tf.TensorInfo | undefined => (sizeOf(tensor) > 0 ? tensor : undefined);

interface Work {
  name: string;
  code: string;
  writes: Readonly<Record<string, tf.TensorInfo>>;
  reads: Readonly<Record<string, tf.TensorInfo>>;
  groups: number;
}

function runAttention(shape: Shape, added: Added, { name, code, writes, reads, groups }: Work): void {
  const { batch, tokens, masks, scale } = shape;
  const program = { name, code, writes: Object.keys(writes), reads: Object.keys(reads) };
  run(attentionProgram(shape, added, program), {
    writes: Object.values(writes),
    reads: [...Object.values(reads), ...[added.bias ?? [], added.mask ?? []].flat()],
    uniforms: { sequences: batch, tokens, masks, scale },
    groups,
  });
}

const rowGroups = ({ batch, heads, tokens }: Shape): number => batch * heads * Math.ceil(tokens / ROWS);

registerKernel<Attributes>('VitlabAttention', ([qkv, bias, mask], attributes) => {
  const shape = shapeOf(qkv!, bias!, mask!, attributes);
  const { batch, tokens, heads, size } = shape;
  const y = unwritten([batch, tokens, heads * size]);
  const logSum = unwritten([batch, heads, tokens]);
  runAttention(
    shape,
    { bias: unlessEmpty(bias!), mask: unlessEmpty(mask!) },
    {
      ...{ name: 'VitlabAttention', code: FORWARD, groups: rowGroups(shape) },
      ...{ writes: { y, log_sum: logSum }, reads: { qkv: qkv! } },
    },
  );
  return [y, logSum];
});

registerKernel<Attributes>('VitlabAttentionGrad', ([dy, qkv, bias, mask, y, logSum], attributes, only) => {
  const shape = shapeOf(qkv!, bias!, mask!, attributes);
  const { batch, tokens, heads, size } = shape;
  checkShape("Attention's gradient", dy!, [batch, tokens, heads * size]);
  const added = { bias: unlessEmpty(bias!), mask: unlessEmpty(mask!) };
  const means = unwritten(logSum!.shape);
  const count = sizeOf(means);
  const uniforms = { count, tokens };
  run(delta(heads, size), { writes: [means], reads: [dy!, y!], uniforms, groups: elementGroups(count) });
  const reads = { dy: dy!, qkv: qkv!, log_sum: logSum!, delta: means };

  const byQkv = (): tf.TensorInfo => {
    const dqkv = unwritten(qkv!.shape);
    for (const [name, code] of Object.entries({ Queries: GRAD_QUERIES, Keys: GRAD_KEYS })) {
      const work = { name: `VitlabAttentionGrad${name}`, code, groups: rowGroups(shape) };
      runAttention(shape, added, { ...work, writes: { dqkv }, reads });
    }
    return dqkv;
  };
  const byBias = (): tf.TensorInfo => {
    if (!added.bias) return zeros(bias!.shape);
    const places = heads * tokens * tokens;
    const chunks = Math.ceil(batch / SEQUENCES);
    const sums = unwritten([chunks, places]);
    const groups = chunks * Math.ceil(places / ROWS);
    runAttention(shape, added, { name: 'VitlabAttentionGradBias', code: GRAD_BIAS, writes: { sums }, reads, groups });
    const total = columnSums({ rows: chunks, width: places }, plainTerm(sums));
    release(sums);
    return { ...total, shape: bias!.shape };
  };
  const outputs = [byQkv, byBias];
  const made = (only === undefined ? outputs : [outputs[only]!]).map((output) => output());
  release(means);
  return made;
});
