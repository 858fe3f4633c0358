// Random tensors inside a step. Their seed is an input of the step, so the same graph gives other numbers at every step,
// and the same numbers eagerly, replayed, and on every engine.
import { hashPurpose, PhiloxStream } from '../random/index.js';
import { executeOp, isTensorflow, tensorflow } from './backend.js';
import { type Tensor, tf } from './tf.js';

/** The key of one step's random numbers: an int32 tensor `[seed, step]`. */
export class RandomKey {
  constructor(private readonly key: Tensor) {}

  /** The seed of the numbers for `purpose`, int32 `[2]`. */
  seed(purpose: string): Tensor {
    return tf.tidy(() => tf.add(this.key, tf.tensor1d([hashPurpose(purpose), 0], 'int32')));
  }

  /** Uniform float32 in [0, 1) of `shape`, from (seed, purpose, step): the numbers of `new Rng(seed, purpose, step)`. */
  uniform(shape: number[], purpose: string): Tensor {
    if (!isTensorflow()) {
      const [seed, step] = this.key.dataSync();
      const stream = new PhiloxStream((seed! + hashPurpose(purpose)) | 0, step!);
      return tf.tensor(
        Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => stream.uniform()),
        shape,
      );
    }
    const { binding } = tensorflow();
    const type = (name: string, value: number) => ({ name, type: binding.TF_ATTR_TYPE, value });
    return tf.tidy(() => {
      const attributes = [
        type('dtype', binding.TF_FLOAT),
        type('T', binding.TF_INT32),
        type('Tseed', binding.TF_INT32),
      ];
      return executeOp('StatelessRandomUniform', attributes, [tf.tensor1d(shape, 'int32'), this.seed(purpose)]);
    });
  }
}
