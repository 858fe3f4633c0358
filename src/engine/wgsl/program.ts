// Runs a program in WGSL among those of tfjs's WebGPU backend: in the same queue, on the same buffers. tfjs's own way
// (`runWebGPUProgram`) writes one tensor; a program here may write several, and memory that is there already.
import { VitlabError } from '../../errors.js';
import { tf } from '../tf.js';

/** A compute shader. Tensors are flat arrays of float32. */
export interface Program {
  /** Names the pipeline, together with the constants and the tensors. */
  readonly name: string;
  /** Threads of a workgroup. */
  readonly threads: number;
  /** What it writes, and may read: names of `array<f32>`. At most eight with those that it reads. */
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  /** Whole numbers that the shader is compiled for, `u32`. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Numbers that differ from run to run, as `uniforms.name`. */
  readonly uniforms?: Readonly<Record<string, 'u32' | 'f32'>>;
  /** Whether it uses subgroups, which not every device has. */
  readonly subgroups?: boolean;
  /** WGSL with `fn main(group: u32, thread: u32)`; of a program with subgroups, `fn main(…, subgroup: u32)`, their size. */
  readonly code: string;
}

/** One run of a program. */
export interface Run {
  readonly writes: readonly tf.TensorInfo[];
  readonly reads: readonly tf.TensorInfo[];
  readonly uniforms?: Readonly<Record<string, number>>;
  /** How many workgroups, of any number. */
  readonly groups: number;
}

interface Pipeline {
  getBindGroupLayout(index: number): object;
}

interface Device {
  features: ReadonlySet<string>;
  limits: { maxComputeWorkgroupsPerDimension: number };
  createShaderModule(descriptor: { code: string; label: string }): object;
  createComputePipeline(descriptor: { compute: object; label: string; layout: 'auto' }): Pipeline;
}

interface UniformData {
  type: 'int32' | 'uint32' | 'float32';
  data: number[];
}

/** What of tfjs's backend is used; part of it is private there. */
interface WebgpuBackend {
  device: Device;
  tensorMap: { get(dataId: object): { resource?: unknown; refCount: number; values: unknown } };
  makeTensorInfo(shape: readonly number[], dtype: 'float32', values?: Float32Array): tf.TensorInfo;
  uploadToGPU(dataId: object): void;
  disposeData(dataId: object): boolean;
  recordAndSubmit(
    program: { pipeline: Pipeline; dispatch: readonly number[] },
    output: tf.TensorInfo,
    inputs: readonly tf.TensorInfo[],
    uniforms: UniformData[],
  ): void;
}

const REQUIRED = ['device', 'tensorMap', 'makeTensorInfo', 'uploadToGPU', 'disposeData', 'recordAndSubmit'] as const;

/** @throws VitlabError where another engine is active or tfjs's backend lacks what vitlab uses */
function webgpu(): WebgpuBackend {
  if (tf.getBackend() !== 'webgpu') throw new VitlabError(`This needs the webgpu engine, got ${tf.getBackend()}.`);
  const backend = tf.backend() as unknown as WebgpuBackend;
  const missing = REQUIRED.find((member) => backend[member] === undefined);
  if (missing === undefined) return backend;
  throw new VitlabError(
    `tfjs's WebGPU backend has no '${missing}': vitlab needs @tensorflow/tfjs-backend-webgpu 4.22, found another version.`,
  );
}

/** Whether the device has subgroups, whose threads pass numbers to each other without memory and barriers. */
export const deviceHasSubgroups = (): boolean => webgpu().device.features.has('subgroups');

/** A tensor for a program to write, not yet of any value. */
export const unwritten = (shape: readonly number[]): tf.TensorInfo => webgpu().makeTensorInfo(shape, 'float32');

/** A tensor of zeros. */
export const zeros = (shape: readonly number[]): tf.TensorInfo =>
  webgpu().makeTensorInfo(shape, 'float32', new Float32Array(sizeOf({ shape })));

/** Frees what a kernel made for itself. */
export function release(...tensors: readonly tf.TensorInfo[]): void {
  for (const { dataId } of tensors) webgpu().disposeData(dataId);
}

/**
 * The memory of a tensor that nobody else holds, as another tensor, so that a program can write into it. The old one is
 * empty afterwards and can only be disposed of. Undefined where somebody else holds it.
 */
export function takeOver(tensor: tf.TensorInfo): tf.TensorInfo | undefined {
  const backend = webgpu();
  const old = backend.tensorMap.get(tensor.dataId);
  if (old.refCount > 1) return undefined;
  backend.uploadToGPU(tensor.dataId);
  const taken = backend.makeTensorInfo(tensor.shape, 'float32');
  backend.tensorMap.get(taken.dataId).resource = old.resource;
  old.resource = null;
  return taken;
}

export const sizeOf = ({ shape }: { shape: readonly number[] }): number => shape.reduce((a, b) => a * b, 1);

/** Queues a run. Nothing is done where there is nothing to write. */
export function run(program: Program, { writes, reads, uniforms = {}, groups }: Run): void {
  const backend = webgpu();
  if (writes.every((tensor) => sizeOf(tensor) === 0)) {
    for (const { dataId } of writes) backend.tensorMap.get(dataId).values = new Float32Array(0);
    return;
  }
  const tensors = [...writes, ...reads];
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  const [first, ...others] = tensors.map((tensor) => ({ ...flat(tensor) }));
  const rows = Math.ceil(groups / backend.device.limits.maxComputeWorkgroupsPerDimension);
  const numbers = Object.entries(program.uniforms ?? {}).map(([name, type]): UniformData => {
    return { type: type === 'u32' ? 'uint32' : 'float32', data: [uniforms[name]!] };
  });
  backend.recordAndSubmit(
    { pipeline: pipelineOf(backend.device, program), dispatch: [Math.ceil(groups / rows), rows, 1] },
    first!,
    others,
    [{ type: 'uint32', data: [groups] }, ...numbers],
  );
}

/** With one axis, tfjs's uniforms for it are two integers: its length and its stride. */
const flat = ({ dataId, dtype, shape }: tf.TensorInfo): tf.TensorInfo => ({
  dataId,
  dtype,
  shape: [sizeOf({ shape })],
});

const pipelines = new WeakMap<Device, Map<string, Pipeline>>();

function pipelineOf(device: Device, program: Program): Pipeline {
  const ofDevice = pipelines.get(device) ?? new Map<string, Pipeline>();
  pipelines.set(device, ofDevice);
  const { name, writes, reads, constants, subgroups } = program;
  const key = JSON.stringify([name, writes, reads, constants, subgroups]);
  let pipeline = ofDevice.get(key);
  if (!pipeline) {
    const module = device.createShaderModule({ code: shader(program), label: name });
    pipeline = device.createComputePipeline({ compute: { module, entryPoint: 'start' }, label: name, layout: 'auto' });
    ofDevice.set(key, pipeline);
  }
  return pipeline;
}

/** The whole shader. Bindings and the first uniforms are as `recordAndSubmit` sets them. */
function shader({ threads, writes, reads, constants = {}, uniforms = {}, subgroups, code }: Program): string {
  const tensors = [...writes, ...reads];
  const lengths = tensors.map((name) => `  ${name}_length: i32,\n  ${name}_stride: i32,`);
  const own = Object.entries(uniforms).map(([name, type]) => `  ${name}: ${type},`);
  const bindings = tensors.map((name, i) => {
    return `@group(0) @binding(${i}) var<storage, ${i < writes.length ? 'read_write' : 'read'}> ${name}: array<f32>;`;
  });
  return `${subgroups ? 'enable subgroups;' : ''}
struct Uniforms {
  nan: f32,
  infinity: f32,
${lengths.join('\n')}
  groups: u32,
${own.join('\n')}
}
${bindings.join('\n')}
@group(0) @binding(${tensors.length}) var<uniform> uniforms: Uniforms;
${Object.entries(constants)
  .map(([name, value]) => `const ${name} = ${value}u;`)
  .join('\n')}
const THREADS = ${threads}u;

${code}

@compute @workgroup_size(${threads})
fn start(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,${subgroups ? '\n  @builtin(subgroup_size) subgroup: u32,' : ''}
) {
  let group = id.y * count.x + id.x;
  if (group < uniforms.groups) {
    main(group, thread${subgroups ? ', subgroup' : ''});
  }
}
`;
}
