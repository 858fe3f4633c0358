// Reading values at once, on engines whose memory can only be read in time.
import { type Tensor, tf } from './tf.js';

/**
 * Waits until the values of `tensors` can be read at once (`dataSync`). WebGPU's memory is only read asynchronously; on
 * other engines nothing has to be done. It holds for a tensor until the next step computes with it.
 */
export async function readable(tensors: Iterable<Tensor>): Promise<void> {
  if (tf.getBackend() !== 'webgpu') return;
  await Promise.all([...tensors].map((tensor) => tensor.data()));
}

/**
 * What `compute` gives, as nested lists of numbers, a scalar as a number; on every engine. The tensors that it makes are
 * disposed of.
 */
export async function readArray<T extends ReturnType<Tensor['arraySync']>>(compute: () => Tensor): Promise<T> {
  const result = tf.tidy(compute);
  try {
    return (await result.array()) as T;
  } finally {
    result.dispose();
  }
}
