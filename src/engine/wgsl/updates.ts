// Updates of optimisers, one run a parameter: the parameter and the optimiser's state are changed where they are.
import { ShapeError } from '../../errors.js';
import type { InPlaceUpdate } from '../ownOps.js';
import { tf } from '../tf.js';
import { elementGroups, elementwise } from './elementwise.js';
import { type Program, run, takeOver } from './program.js';

const PROGRAMS: Readonly<Record<string, Program>> = {
  VitlabAdam: elementwise({
    name: 'VitlabAdam',
    writes: ['value', 'first', 'second'],
    reads: ['gradient', 'size', 'epsilon', 'shrink'],
    uniforms: { beta1: 'f32', rest1: 'f32', beta2: 'f32', rest2: 'f32', penalty: 'f32' },
    code: `
fn each(i: u32) {
  let p = value[i];
  let g = gradient[i] + uniforms.penalty * p;
  let m = first[i] * uniforms.beta1 + g * uniforms.rest1;
  let v = second[i] * uniforms.beta2 + g * g * uniforms.rest2;
  first[i] = m;
  second[i] = v;
  value[i] = p * shrink[0] - m / (sqrt(v) + epsilon[0]) * size[0];
}
`,
  }),
  VitlabMomentum: elementwise({
    name: 'VitlabMomentum',
    writes: ['value', 'velocity'],
    reads: ['gradient', 'rate', 'share'],
    uniforms: { momentum: 'f32', penalty: 'f32', nesterov: 'u32' },
    code: `
fn each(i: u32) {
  let p = value[i];
  let g = gradient[i] + uniforms.penalty * p;
  let v = velocity[i] * uniforms.momentum + g * share[0];
  velocity[i] = v;
  value[i] = p - rate[0] * select(v, g + uniforms.momentum * v, uniforms.nesterov == 1u);
}
`,
  }),
};

export const hasUpdate = (op: string): boolean => op in PROGRAMS;

/**
 * Makes the update at once. A variable whose values somebody else holds too gets a copy first.
 * @throws ShapeError where gradient and variables differ in shape
 */
export function updateVariables({ op, variables, inputs, attributes }: InPlaceUpdate): boolean {
  const program = PROGRAMS[op];
  if (!program) return false;
  const [gradient] = inputs;
  const other = variables.find(({ shape }) => !tf.util.arraysEqual(shape, gradient!.shape));
  if (other) throw new ShapeError(`${op} needs a gradient of [${other.shape}], got [${gradient!.shape}].`);
  const count = gradient!.size;
  const uniforms = { count, ...numbersOf(attributes) };
  const writes = variables.map((variable) => {
    const taken = takeOver(variable);
    if (taken) return taken;
    const copy = tf.mul(variable, 1);
    variable.assign(copy);
    copy.dispose();
    return takeOver(variable)!;
  });
  run(program, { writes, reads: inputs, uniforms, groups: elementGroups(count) });
  for (const [i, variable] of variables.entries()) {
    const value = tf.engine().makeTensorFromTensorInfo(writes[i]!);
    variable.assign(value);
    value.dispose();
  }
  return true;
}

function numbersOf(attributes: InPlaceUpdate['attributes']): Record<string, number> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, Number(Object.values(value)[0])]));
}
