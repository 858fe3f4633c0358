// The Jupyter kernel, from both sides: `Kernel` runs notebooks' cells headless, `kernelDisplay` and `onKernelInterrupt`
// are for code that runs in a kernel.
export { type ExecuteOptions, type ExecuteResult, Kernel, type KernelOptions } from './client.js';
export { type KernelDisplay, kernelDisplay, onKernelInterrupt } from './display.js';
export { KernelDiedError, KernelError, KernelTimeoutError } from './errors.js';
export type { Exit } from './launch.js';
export type { DisplayOutput, ErrorOutput, MimeBundle, Output, ResultOutput, StreamOutput } from './outputs.js';
