// Whether kernels may sum within subgroups.
import { tf } from '../tf.js';
import { deviceHasSubgroups, type Program, run, unwritten } from './program.js';

/** Threads of the workgroups that use subgroups. */
export const SUBGROUP_THREADS = 64;

const PROBE: Program = {
  ...{ name: 'VitlabSubgroupProbe', threads: SUBGROUP_THREADS, writes: ['others'], reads: [], subgroups: true },
  code: `
fn main(group: u32, thread: u32, subgroup: u32) {
  var strange = 0.0;
  for (var step = 1u; step < min(THREADS, subgroup); step *= 2u) {
    strange += f32(subgroupShuffleXor(thread, step) != (thread ^ step));
  }
  others[thread] = strange;
}
`,
};

let neighbours = false;

/** Looks whether subgroups are of neighbouring threads. All drivers known make them so, but WGSL does not promise it. */
export async function probeSubgroups(): Promise<void> {
  if (!deviceHasSubgroups()) return;
  const others = unwritten([SUBGROUP_THREADS]);
  run(PROBE, { writes: [others], reads: [], groups: 1 });
  const tensor = tf.engine().makeTensorFromTensorInfo(others);
  neighbours = (await tensor.data()).every((strange) => strange === 0);
  tensor.dispose();
}

/** VITLAB_SUBGROUPS=0 makes no use of them. */
export const hasSubgroups = (): boolean => neighbours && process.env['VITLAB_SUBGROUPS'] !== '0';
