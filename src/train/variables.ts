// Variables for state beside the parameters: slots, sums, averages.
import { type Tensor, tf, type Variable } from '../engine/index.js';

/** A variable of zeros that no gradient is computed for. */
export function zeroVariable(shape: readonly number[]): Variable {
  return taken(tf.fill([...shape], 0)); // on the device: "zeros" would be made in JavaScript first
}

/** A variable that starts with the values of `source`, in memory of its own: a clone would share it. */
export function copiedVariable(source: Tensor): Variable {
  return taken(copyOf(source));
}

/** The values of `source` in memory of their own. */
export const copyOf = (source: Tensor): Tensor => tf.mul(source, 1);

function taken(value: Tensor): Variable {
  const variable = tf.variable(value, false);
  value.dispose();
  return variable;
}
