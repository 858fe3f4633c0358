// What can go wrong with a kernel, beyond an error of a cell's own.
import { VitlabError } from '../errors.js';
import type { Output } from './outputs.js';

/** A kernel that cannot be started or does not speak the protocol. */
export class KernelError extends VitlabError {}

/** The kernel's process ended while it was needed. `outputs` are those of the cell that was running. */
export class KernelDiedError extends KernelError {
  override readonly exitCode = 5;
  constructor(
    message: string,
    readonly code: number | null,
    readonly signal: NodeJS.Signals | null,
    readonly outputs: Output[],
  ) {
    super(message);
  }
}

/** A cell took longer than it may. `outputs` are those it had made. */
export class KernelTimeoutError extends KernelError {
  override readonly exitCode = 4;
  constructor(
    message: string,
    readonly outputs: Output[],
  ) {
    super(message);
  }
}
