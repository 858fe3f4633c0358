// The webgpu engine: tfjs's WebGPU backend on Dawn, WebGPU's implementation in Chromium, which npm's `webgpu` brings to
// Node. It computes on GPUs of every vendor, by Vulkan, Metal or Direct3D 12, or on a processor by a software driver.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VitlabError } from '../errors.js';
import type { Engine } from './start.js';
import { tf } from './tf.js';
import { provideWgslOps } from './wgsl/index.js';

/** Where Vulkan's loader looks for the drivers of GPUs. */
const driverFolders = (): string[] => {
  const own = process.env['XDG_DATA_HOME'] || path.join(os.homedir(), '.local/share');
  const others = process.env['XDG_DATA_DIRS']?.split(':') ?? [];
  return ['/etc', '/usr/local/share', '/usr/share', own, ...others].map((folder) => path.join(folder, 'vulkan/icd.d'));
};

/** Vulkan on the processor, as Chromium ships it: what serves where there is no GPU. */
const SOFTWARE_DRIVERS = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/opt/google/chrome/vk_swiftshader_icd.json'];

/** Limits of the device that tfjs and our kernels use as far as they go, instead of what every device has. */
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
] as const;

interface Adapter {
  readonly info: { vendor: string; architecture: string; device: string; description: string };
  readonly features: ReadonlySet<string>;
  readonly limits: Readonly<Record<(typeof LIMITS)[number], number>>;
  requestDevice(descriptor: { requiredFeatures: string[]; requiredLimits: Record<string, number> }): Promise<object>;
}
interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
}
interface TfjsWebgpu {
  WebGPUBackend: new (device: object, info: Adapter['info']) => tf.KernelBackend;
}
interface Dawn {
  create(flags: string[]): Gpu;
  globals: Record<string, unknown>;
}

/**
 * Starts the engine on the strongest GPU, or else on a software driver.
 * @throws VitlabError where there is neither
 */
export async function startWebgpu(): Promise<Engine> {
  const dawn: Dawn = require('webgpu');
  // Dawn looks for it before it loads Vulkan, and headless machines have none.
  process.env['XDG_RUNTIME_DIR'] ??= os.tmpdir();
  const found = await findDevice(dawn);
  if (!found) {
    throw new VitlabError(
      'WebGPU found no device. It needs a GPU with its Vulkan driver and libvulkan.so.1 (Debian: libvulkan1); Chromium, ' +
        'or Mesa from version 25, bring a driver that computes on the processor.',
    );
  }
  const { gpu, info, device } = found;
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  const { WebGPUBackend }: TfjsWebgpu = require('@tensorflow/tfjs-backend-webgpu');
  // tfjs asks the device for no features that its own shaders do not need
  tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, info));
  if (!(await tf.setBackend('webgpu'))) throw new VitlabError('tfjs could not start its webgpu backend.');
  await tf.ready();
  await provideWgslOps();
  // Dawn lets the process end only when nothing holds its instance.
  process.once('exit', () => Reflect.deleteProperty(globalThis, 'navigator'));
  const { vendor, architecture, device: model, description } = info;
  const version = tf.version['tfjs-core'];
  const name = description || [vendor, architecture, model].filter(Boolean).join(' ') || 'unknown device';
  return {
    name: 'webgpu',
    device: name,
    version,
    canCapture: false,
    describe: () => `tfjs ${version} webgpu backend on ${name}`,
  };
}

/** Features of the device that are used where it has them. */
const FEATURES = ['timestamp-query', 'subgroups'];

const deviceOf = (adapter: Adapter): Promise<object> =>
  adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });

interface Found {
  gpu: Gpu;
  info: Adapter['info'];
  device: object;
}

/** What the machine's drivers have, or else Chromium's driver, unless the environment names drivers for Vulkan. */
async function findDevice(dawn: Dawn): Promise<Found | undefined> {
  const named = process.env['VK_ICD_FILENAMES'] ?? process.env['VK_DRIVER_FILES'];
  const software = named ? undefined : SOFTWARE_DRIVERS.find((file) => fs.existsSync(file));
  if (!software) return openDevice(dawn);
  // without any driver the attempt would print warnings
  const found = driverFolders().some(hasFiles) ? await openDevice(dawn) : undefined;
  if (found) return found;
  process.env['VK_ICD_FILENAMES'] = software;
  const other = await openDevice(dawn);
  if (!other) delete process.env['VK_ICD_FILENAMES'];
  return other;
}

const hasFiles = (folder: string): boolean => fs.existsSync(folder) && fs.readdirSync(folder).length > 0;

async function openDevice(dawn: Dawn): Promise<Found | undefined> {
  const gpu = dawn.create([]);
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    return adapter ? { gpu, info: adapter.info, device: await deviceOf(adapter) } : undefined;
  } catch {
    return undefined; // as where there is none: no Vulkan, no driver, or a device that does not start
  }
}
