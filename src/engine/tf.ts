// The one place that names the tensor library. Everything in vitlab takes `tf` from here.
import * as tf from '@tensorflow/tfjs';

export { tf };
export type Tensor = tf.Tensor;
export type Variable = tf.Variable;
