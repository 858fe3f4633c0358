// Small models for the tests of the tuning methods, and one training step of plain gradient descent.
import { RandomKey, tf, valueAndGradients } from '../../src/engine/index.js';
import { MocoViT, SwinTransformer, VisionTransformer } from '../../src/models/index.js';
import { ForwardContext, type Module } from '../../src/nn/index.js';
import { crossEntropy } from '../../src/train/index.js';

export const CLASSES = 5;
export const IMAGE = 32;

/** Every architecture, with everything random that it has. */
export const MODELS: Readonly<Record<string, () => Module>> = {
  vit: () =>
    new VisionTransformer({
      ...{ imgSize: IMAGE, patchSize: 8, embedDim: 24, depth: 3, numHeads: 3, mlpRatio: 2, numClasses: CLASSES },
      ...{ dropRate: 0.1, attnDropRate: 0.1, projDropRate: 0.1, posDropRate: 0.1, dropPathRate: 0.1 },
    }),
  'vit with average pooling and layer scale': () =>
    new VisionTransformer({
      ...{ imgSize: IMAGE, patchSize: 8, embedDim: 24, depth: 2, numHeads: 3, mlpRatio: 2, numClasses: CLASSES },
      ...{ globalPool: 'avg', initValues: 0.1 },
    }),
  'MoCo vit with convolutional stem': () =>
    new MocoViT({
      ...{ stem: 'conv', imgSize: IMAGE, patchSize: 16, embedDim: 24, depth: 2, numHeads: 3, mlpRatio: 2 },
      numClasses: CLASSES,
    }),
  swin: () =>
    new SwinTransformer({
      ...{ imgSize: IMAGE, patchSize: 4, windowSize: 4, embedDim: 8, depths: [2, 1], numHeads: [2, 4] },
      ...{ mlpRatio: 2, numClasses: CLASSES },
    }),
};

/** A batch of random images and labels that follows from the seed. */
export function batch(seed = 0, size = 3): { images: tf.Tensor4D; labels: tf.Tensor1D } {
  const images = tf.randomUniform([size, IMAGE, IMAGE, 3], -1, 1, 'float32', seed) as tf.Tensor4D;
  return {
    images,
    labels: tf.tensor1d(
      Array.from({ length: size }, (_, i) => i % CLASSES),
      'int32',
    ),
  };
}

/** The random numbers of one step. */
export const contextOf = (step: number): ForwardContext =>
  new ForwardContext(new RandomKey(tf.tensor1d([7, step], 'int32')));

/** One step of gradient descent in training mode over what trains. Gives the loss. */
export function descend(model: Module, step: number, learningRate = 0.1): number {
  const { images, labels } = batch(step);
  return tf.tidy(() => {
    const parameters = [...model.train().trainableParameters().values()].map((parameter) => parameter.value);
    const loss = () => crossEntropy(model.forward(images, contextOf(step)), labels);
    const { value, gradients } = valueAndGradients(loss, parameters);
    for (const [i, parameter] of parameters.entries()) {
      parameter.assign(tf.sub(parameter, tf.mul(gradients[i]!, learningRate)));
    }
    return value.dataSync()[0]!;
  });
}

/** Every tensor of a model, buffers included, as copies. */
export function snapshot(model: Module): Map<string, Float32Array> {
  const stored = [...model.namedParameters(), ...model.namedBuffers()];
  return new Map(stored.map(([name, { value }]) => [name, Float32Array.from(value.dataSync())]));
}
