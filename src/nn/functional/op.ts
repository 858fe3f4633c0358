// Differentiable ops of our own: a forward made of tfjs or TensorFlow ops, and a gradient written by hand. They are
// registered as tfjs kernels, so the tape sees one node, and a gradient is computed only for the inputs that need one.
import { ENGINES, type Tensor, tf } from '../../engine/index.js';

/** The tensors of an op's call by name. */
export type OpInputs<K extends string> = { readonly [name in K]: Tensor };

/** An op: its value, and the gradient by each of its inputs. */
export interface OpDefinition<K extends string, A extends object> {
  name: string;
  /** The value, computed without a tape; or several, of which the first is the op's and the others are for the gradient. */
  forward(inputs: OpInputs<K>, attributes: A): Tensor | Tensor[];
  /** How many values `forward` gives; default 1. */
  outputs?: number;
  /** Which inputs, and whether the output, the gradient reads. */
  saves: readonly K[];
  savesOutput?: boolean;
  /** For each input, the gradient as a function that is called only where it is needed. */
  gradient(
    dy: Tensor,
    saved: OpInputs<K> & { output: Tensor; outputs: readonly Tensor[] },
    attributes: A,
  ): { [name in K]: () => Tensor };
}

/** Defines a differentiable op that works on every engine. */
export function defineOp<K extends string, A extends object = object>(
  definition: OpDefinition<K, A>,
): (inputs: OpInputs<K>, attributes?: A) => Tensor {
  const { name, forward, saves, outputs = 1, savesOutput = false, gradient } = definition;
  const kernelName = `Vitlab${name}WithGradient`;
  for (const backendName of ENGINES) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs }) => tf.tidy(() => forward(inputs as OpInputs<K>, attrs as unknown as A)),
    });
  }
  tf.registerGradient({
    kernelName,
    inputsToSave: [...saves],
    outputsToSave: Array.from({ length: outputs }, () => savesOutput),
    gradFunc: (dy, saved, attrs) => {
      const named = Object.fromEntries(saves.map((input, i) => [input, saved[i]!])) as OpInputs<K>;
      const [first] = [dy].flat() as Tensor[];
      const made = saved.slice(saves.length);
      return gradient(first!, { ...named, output: made[0]!, outputs: made }, attrs as unknown as A);
    },
  });
  return (inputs, attributes) => {
    const attrs = (attributes ?? {}) as tf.NamedAttrMap;
    const made = tf.engine().runKernel(kernelName, inputs as tf.NamedTensorMap, attrs) as Tensor | Tensor[];
    return Array.isArray(made) ? made[0]! : made;
  };
}
