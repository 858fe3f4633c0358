// A request to stop, seen between two steps: SIGINT on the command line, the kernel's interrupt in a notebook.
import { VitlabError } from '../errors.js';
import { onKernelInterrupt } from '../kernel/index.js';

/** Thrown when training stopped because it was asked to. What was trained is kept. */
export class Interrupted extends VitlabError {
  override readonly exitCode = 130;
}

/** Listens for a request to stop from now on until `stopListening`. */
export class InterruptWatch {
  requested = false;
  private readonly request = (): void => {
    this.requested = true;
  };
  private readonly stopListeningToKernel = onKernelInterrupt(this.request);

  constructor() {
    process.on('SIGINT', this.request);
  }

  stopListening(): void {
    process.off('SIGINT', this.request);
    this.stopListeningToKernel();
  }
}
