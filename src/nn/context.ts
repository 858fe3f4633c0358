// What a forward pass needs beside its input: randomness, and someone who listens to intermediates.
import { type RandomKey, type Tensor, tf } from '../engine/index.js';
import { VitlabError } from '../errors.js';

/** Handed through a forward pass. Make a new one for every pass. */
export class ForwardContext {
  private draws = 0;

  /**
   * @param random the key of this step's random numbers; needed in training where something is random
   * @param tap is called with every named intermediate: tokens after each block, attention maps
   */
  constructor(
    private readonly random?: RandomKey,
    readonly tap?: (name: string, value: Tensor) => void,
  ) {}

  /** Uniform numbers in [0, 1) that follow from (seed, step, purpose, which draw of this pass it is). */
  uniform(shape: number[], purpose: string): Tensor {
    if (!this.random) {
      throw new VitlabError(`${purpose} needs random numbers in training: give the forward pass a context with a key.`);
    }
    return this.random.uniform(shape, `${purpose}#${this.draws++}`);
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
