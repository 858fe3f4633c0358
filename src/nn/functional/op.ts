// Differentiable ops of our own: a forward made of tfjs or TensorFlow ops, and a gradient written by hand. They are
// registered as tfjs kernels, so the tape sees one node, and a gradient is computed only for the inputs that need one.
import { ENGINES, type Tensor, tf } from '../../engine/index.js';

/** The tensors of an op's call by name. */
type Inputs<K extends string> = { readonly [name in K]: Tensor };

interface Definition<K extends string, A extends object> {
  name: string;
  /** The value, computed without a tape. */
  forward(inputs: Inputs<K>, attributes: A): Tensor;
  /** Which inputs, and whether the output, the gradient reads. */
  saves: readonly K[];
  savesOutput?: boolean;
  /** For each input, the gradient as a function that is called only where it is needed. */
  gradient(dy: Tensor, saved: Inputs<K> & { output: Tensor }, attributes: A): { [name in K]: () => Tensor };
}

/** Defines a differentiable op that works on every engine. */
export function defineOp<K extends string, A extends object = object>(
  definition: Definition<K, A>,
): (inputs: Inputs<K>, attributes?: A) => Tensor {
  const { name, forward, saves, savesOutput = false, gradient } = definition;
  const kernelName = `Vitlab${name}`;
  for (const backendName of ENGINES) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs }) => tf.tidy(() => forward(inputs as Inputs<K>, attrs as unknown as A)),
    });
  }
  tf.registerGradient({
    kernelName,
    inputsToSave: [...saves],
    outputsToSave: [savesOutput],
    gradFunc: (dy, saved, attrs) => {
      const named: Record<string, Tensor> = Object.fromEntries(saves.map((input, i) => [input, saved[i]!]));
      if (savesOutput) named['output'] = saved[saves.length]!;
      return gradient(dy as Tensor, named as Inputs<K> & { output: Tensor }, attrs as unknown as A);
    },
  });
  return (inputs, attributes) =>
    tf.engine().runKernel(kernelName, inputs as tf.NamedTensorMap, (attributes ?? {}) as tf.NamedAttrMap) as Tensor;
}
