// What code in a notebook's kernel can ask of the kernel: to show things, and to hear of interrupts. Outside of a kernel
// (command line, tests, workers) there is none, and nothing here does anything.
import type { MimeBundle } from './outputs.js';

/** Shows representations of things in the running cell. Values that are bytes are sent as base64. */
export interface KernelDisplay {
  /** Which run of a cell goes on: another text for every run of every cell. */
  readonly cell: string;
  /** False where this project's headless client runs the cells, so that nobody sees what renews itself. */
  readonly watched: boolean;
  /** Shows one thing in all the representations of `bundle` (by mime type). Returns its display id. */
  display(bundle: MimeBundle, metadata?: Record<string, unknown>, displayId?: string): string;
  /** Replaces what is shown under a display id, wherever it stands: a progress bar, a figure that grows. */
  updateDisplay(displayId: string, bundle: MimeBundle, metadata?: Record<string, unknown>): void;
  /** Removes the running cell's outputs; with `wait` only when the next output comes, so that nothing flickers. */
  clearOutput(wait?: boolean): void;
}

/** The kernel this process is, or undefined outside of one. */
export function kernelDisplay(): KernelDisplay | undefined {
  return (globalThis as { vitlabKernel?: KernelDisplay }).vitlabKernel;
}

const INTERRUPT = 'vitlab:interrupt';

/**
 * Calls `listener` when the user interrupts the running cell (or it failed by an error that escaped from it). The kernel
 * then waits up to 10 s for the cell to come to its end by itself. Returns a function that ends the listening: call it
 * when the work is over, because a listener is taken as the promise to end the cell.
 */
export function onKernelInterrupt(listener: () => void): () => void {
  process.on(INTERRUPT as never, listener);
  return () => {
    process.off(INTERRUPT as never, listener);
  };
}
