// Programs that do the same for each number.
import type { Program } from './program.js';

const THREADS = 64;
const EACH = 4;

/** A program of `fn each(i: u32)`, called once for each of `uniforms.count` numbers. */
export const elementwise = (
  program: Pick<Program, 'name' | 'writes' | 'reads' | 'constants' | 'uniforms' | 'code'>,
): Program => ({
  ...program,
  threads: THREADS,
  uniforms: { count: 'u32', ...program.uniforms },
  code: `${program.code}
fn main(group: u32, thread: u32) {
  for (var part = 0u; part < ${EACH}u; part++) {
    let i = (group * ${EACH}u + part) * THREADS + thread;
    if (i < uniforms.count) {
      each(i);
    }
  }
}
`,
});

/** How many workgroups it takes. */
export const elementGroups = (count: number): number => Math.ceil(count / (THREADS * EACH));
