// State that starts at zero.
import { tf, type Variable } from '../engine/index.js';

/** A variable of zeros that no gradient is computed for. */
export function zeroVariable(shape: readonly number[]): Variable {
  const zeros = tf.zeros([...shape]);
  const variable = tf.variable(zeros, false);
  zeros.dispose();
  return variable;
}
