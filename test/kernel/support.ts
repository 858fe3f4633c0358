// What the kernel's tests share: a kernel that is ended whatever happens, and small projects of their own.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ExecuteResult, Kernel, type KernelOptions } from '../../src/kernel/index.js';

export const ROOT = path.resolve(__dirname, '../..');

export async function withKernel<T>(options: KernelOptions, use: (kernel: Kernel) => Promise<T>): Promise<T> {
  const kernel = await Kernel.start(options);
  try {
    return await use(kernel);
  } finally {
    await kernel.shutdown();
  }
}

export type Project = { root: string; specDir: string; write: (files: Record<string, string>) => void };

/** A project in a temporary folder: the kernel, the installed packages, and these files. */
export async function withProject<T>(files: Record<string, string>, use: (project: Project) => Promise<T>): Promise<T> {
  const root = mkdtempSync(path.join(tmpdir(), 'vitlab-project-'));
  const write = (contents: Record<string, string>) => {
    for (const [name, text] of Object.entries(contents)) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    }
  };
  try {
    for (const part of ['jupyter', 'launcher']) {
      cpSync(path.join(ROOT, 'kernel', part), path.join(root, 'kernel', part), { recursive: true });
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
    write({ 'package.json': '{ "type": "commonjs" }', ...files });
    return await use({ root, specDir: path.join(root, 'kernel/jupyter/kernels/tslab'), write });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

export function stream(result: ExecuteResult, name: 'stdout' | 'stderr' = 'stdout'): string {
  return result.outputs
    .map((output) => (output.output_type === 'stream' && output.name === name ? output.text : ''))
    .join('');
}
