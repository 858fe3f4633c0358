// The webgpu engine: tfjs's WebGPU backend on Dawn, WebGPU's implementation in Chromium, which npm's `webgpu` brings to
// Node. It computes on GPUs of every vendor, by Vulkan, Metal or Direct3D 12, or on a processor by a software driver.
import fs from 'node:fs';
import os from 'node:os';
import { VitlabError } from '../errors.js';
import type { Engine } from './start.js';
import { tf } from './tf.js';
import { provideWgslOps } from './wgsl/index.js';

/** Where Vulkan's loader looks for the drivers of GPUs. */
const DRIVER_FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

/** Vulkan on the processor, as Chromium ships it: what serves where there is no GPU. */
const SOFTWARE_DRIVERS = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/opt/google/chrome/vk_swiftshader_icd.json'];

interface Adapter {
  readonly info: { vendor: string; architecture: string; device: string; description: string };
}
interface Gpu {
  requestAdapter(options: { powerPreference: string }): Promise<Adapter | null>;
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
  const software = SOFTWARE_DRIVERS.find((file) => fs.existsSync(file));
  if (software && !DRIVER_FOLDERS.some(hasFiles)) process.env['VK_ICD_FILENAMES'] ??= software;
  const gpu = dawn.create([]);
  const adapter = await adapterOf(gpu);
  if (!adapter) {
    throw new VitlabError(
      'WebGPU found no device. It needs a GPU with its Vulkan driver and libvulkan.so.1 (Debian: libvulkan1); Chromium, ' +
        'or Mesa from version 25, bring a driver that computes on the processor.',
    );
  }
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new VitlabError('tfjs could not start its webgpu backend.');
  await tf.ready();
  provideWgslOps();
  // Dawn lets the process end only when nothing holds its instance.
  process.once('exit', () => Reflect.deleteProperty(globalThis, 'navigator'));
  const { vendor, architecture, device, description } = adapter.info;
  const version = tf.version['tfjs-core'];
  const name = description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unknown device';
  return {
    name: 'webgpu',
    device: name,
    version,
    canCapture: false,
    describe: () => `tfjs ${version} webgpu backend on ${name}`,
  };
}

const hasFiles = (folder: string): boolean => fs.existsSync(folder) && fs.readdirSync(folder).length > 0;

async function adapterOf(gpu: Gpu): Promise<Adapter | null> {
  try {
    return await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch {
    return null; // as where there is none: no Vulkan, or no driver
  }
}
