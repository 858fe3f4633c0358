// What a forward pass needs beside its input: randomness, and someone who listens to intermediates.
import { type RandomKey, type Tensor, tf } from '../engine/index.js';
import { VitlabError } from '../errors.js';

/** Handed through a forward pass. Make a new one for every pass. */
export class ForwardContext {
  /** Gets every named intermediate, where someone listens. */
  readonly tap: ((name: string, value: Tensor) => void) | undefined;

  /**
   * @param random the key of this step's random numbers; needed in training where something is random
   * @param listener is called with every named intermediate: tokens after each block, attention maps
   */
  constructor(
    private readonly random?: RandomKey,
    private readonly listener?: (name: string, value: Tensor) => void,
    private readonly draws = { count: 0 },
    private readonly path = '',
  ) {
    this.tap = listener && ((name, value) => listener(name + path, value));
  }

  /** The same pass for what is inside part `index`: names of its intermediates end in `.index`. */
  inside(index: number): ForwardContext {
    return new ForwardContext(this.random, this.listener, this.draws, `${this.path}.${index}`);
  }

  /** Uniform numbers in [0, 1) that follow from (seed, step, purpose, which draw of this pass it is). */
  uniform(shape: number[], purpose: string): Tensor {
    return this.keyFor(purpose).uniform(shape, this.draw(purpose));
  }

  /** The seed of the numbers that `uniform` would give now, int32 `[2]`. Counts as a draw. */
  seed(purpose: string): Tensor {
    return this.keyFor(purpose).seed(this.draw(purpose));
  }

  private keyFor(purpose: string): RandomKey {
    if (this.random) return this.random;
    throw new VitlabError(`${purpose} needs random numbers in training: give the forward pass a context with a key.`);
  }

  private draw(purpose: string): string {
    return `${purpose}#${this.draws.count++}`;
  }
}

/** A pass that keeps its named intermediates. */
export function tapped(random?: RandomKey): { context: ForwardContext; taps: Record<string, Tensor> } {
  const taps: Record<string, Tensor> = {};
  const context = new ForwardContext(random, (name, value) => {
    taps[name] = tf.keep(value.clone());
  });
  return { context, taps };
}
