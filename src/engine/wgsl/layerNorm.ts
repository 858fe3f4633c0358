// Layer normalisation, Ba et al. 2016 (arXiv:1607.06450), over the last axis, and its gradients. The variance is that of
// centred values, so that a large mean costs no digits. With `skips`, x times a vector is added.
import type { tf } from '../tf.js';
import { checkShape, registerKernel } from './kernel.js';
import { type Program, run, unwritten } from './program.js';
import { columnSums, plainTerm, rowGroups, rowProgram, rowsOf } from './rows.js';

/** The names of what a program reads, and what it adds to its result. */
const withSkip = (skips: number, reads: string[], skipped: string) =>
  skips > 0 ? { reads: [...reads, 'skip'], added: ` + ${skipped} * skip[i]` } : { reads, added: '' };

function forward(width: number, skips: number): Program {
  const { reads, added } = withSkip(skips, ['x', 'weight', 'bias'], 'x[at + i]');
  return rowProgram(width, {
    ...{ name: 'VitlabLayerNorm', writes: ['y', 'mean', 'scale'], reads },
    uniforms: { epsilon: 'f32' },
    code: `
fn rows(row: u32, thread: u32, subgroup: u32) {
  let lane = lane_of(thread);
  // rows past the last compute it again, because all threads must meet at the barriers
  let at = min(row, uniforms.rows - 1u) * WIDTH;
  var sum = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    sum += x[at + i];
  }
  let centre = row_sum(vec2f(sum, 0.0), thread, subgroup).x / f32(WIDTH);
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    let centred = x[at + i] - centre;
    squares += centred * centred;
  }
  let factor = 1.0 / sqrt(row_sum(vec2f(squares, 0.0), thread, subgroup).x / f32(WIDTH) + uniforms.epsilon);
  if (row < uniforms.rows) {
    for (var i = lane; i < WIDTH; i += LANES) {
      y[at + i] = (x[at + i] - centre) * factor * weight[i] + bias[i]${added};
    }
    if (lane == 0u) {
      mean[row] = centre;
      scale[row] = factor;
    }
  }
}
`,
  });
}

function gradInput(width: number, skips: number): Program {
  const { reads, added } = withSkip(skips, ['dy', 'x', 'weight', 'mean', 'scale'], 'dy[at + i]');
  return rowProgram(width, {
    ...{ name: 'VitlabLayerNormGradInput', writes: ['dx'], reads },
    code: `
fn rows(row: u32, thread: u32, subgroup: u32) {
  let lane = lane_of(thread);
  let source = min(row, uniforms.rows - 1u);
  let at = source * WIDTH;
  let centre = mean[source];
  let factor = scale[source];
  var sums = vec2f();
  for (var i = lane; i < WIDTH; i += LANES) {
    let g = dy[at + i] * weight[i];
    sums += vec2f(g, g * (x[at + i] - centre) * factor);
  }
  let means = row_sum(sums, thread, subgroup) / f32(WIDTH);
  if (row < uniforms.rows) {
    for (var i = lane; i < WIDTH; i += LANES) {
      let normalised = (x[at + i] - centre) * factor;
      dx[at + i] = factor * (dy[at + i] * weight[i] - means.x - normalised * means.y)${added};
    }
  }
}
`,
  });
}

registerKernel<{ epsilon: number; skips: number }>('VitlabLayerNorm', (reads, { epsilon, skips }) => {
  const [x, ...vectors] = reads;
  const { rows, width } = rowsOf(x!);
  const names = ['weight', 'bias', 'skip'];
  for (const [i, vector] of vectors.entries()) checkShape(`The ${names[i]} of a layer norm`, vector, [width]);
  const writes = [unwritten(x!.shape), unwritten([rows]), unwritten([rows])];
  const uniforms = { rows, epsilon };
  run(forward(width, skips), { writes, reads, uniforms, groups: rowGroups(rows, width) });
  return writes;
});

registerKernel<{ skips: number }>('VitlabLayerNormGradInput', (reads, { skips }) => {
  const [dy, x] = reads;
  checkShape("A layer norm's gradient", dy!, x!.shape);
  const { rows, width } = rowsOf(x!);
  const dx = unwritten(x!.shape);
  run(gradInput(width, skips), { writes: [dx], reads, uniforms: { rows }, groups: rowGroups(rows, width) });
  return [dx];
});

registerKernel('VitlabLayerNormGradWeights', ([dy, x, mean, scale], _attributes, only) => {
  checkShape("A layer norm's gradient", dy!, x!.shape);
  const size = rowsOf(x!);
  const outputs: readonly (() => tf.TensorInfo)[] = [
    () =>
      columnSums(size, {
        name: 'VitlabLayerNormGradWeight',
        reads: { dy: dy!, x: x!, mean: mean!, scale: scale! },
        code: 'dy[row * WIDTH + column] * (x[row * WIDTH + column] - mean[row]) * scale[row]',
      }),
    () => columnSums(size, plainTerm(dy!)),
    () =>
      columnSums(size, {
        name: 'VitlabLayerNormGradSkip',
        reads: { dy: dy!, x: x! },
        code: 'dy[row * WIDTH + column] * x[row * WIDTH + column]',
      }),
  ];
  return (only === undefined ? outputs : [outputs[only]!]).map((output) => output());
});

/** The sum of the rows of `[…, width]`: the gradient of a bias. */
registerKernel('VitlabColumnSum', ([x]) => [columnSums(rowsOf(x!), plainTerm(x!))]);
