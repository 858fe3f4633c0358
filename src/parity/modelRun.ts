// What all model cases share: weights into the model, a pass with its intermediates, the loss, and every gradient.
import { type TensorData, type TensorRecord, toFloat32 } from '../checkpoint/index.js';
import { type Tensor, tf, type Variable, valueAndGradients } from '../engine/index.js';
import { ForwardContext, type Module, type StateDict } from '../nn/index.js';
import { crossEntropy } from '../train/index.js';
import type { ParityCase } from './case.js';
import type { Checker } from './check.js';

/** A tensor of a file as float32 tensor of the engine. */
export const toTensor = (data: TensorData): Tensor => tf.tensor(toFloat32(data), data.shape, 'float32');

/** Integer labels as int32 tensor. */
export const toLabels = (data: TensorData): Tensor => tf.tensor(Int32Array.from(toFloat32(data)), data.shape, 'int32');

/** Images of a file, NCHW, as the layers take them, NHWC. */
export const toImages = (data: TensorData): Tensor => tf.tidy(() => tf.transpose(toTensor(data), [0, 2, 3, 1]));

export const toStateDict = (record: TensorRecord): StateDict =>
  Object.fromEntries(Object.entries(record).map(([name, data]) => [name, toTensor(data)]));

/** Hands an engine's tensor to the checker. */
export async function checkTensor(check: Checker, name: string, tensor: Tensor, group?: string): Promise<void> {
  check.close(name, await tensor.data(), tensor.shape, group);
}

export interface ModelRun {
  /** The pass whose result is `logits`; default: the model's forward. */
  forward?: (image: Tensor, context: ForwardContext) => Tensor;
  /** Reference names of parameters by the model's own; default: the same. */
  rename?: (name: string) => string;
  /** Reference names of what the model computes instead of keeping it. */
  computed?: readonly string[];
  /** The name of the result; default: `logits`. */
  output?: string;
  /** The loss of the result; default: its cross entropy with the labels. */
  loss?: (result: Tensor) => Tensor;
}

/** The mean of the squared entries, the loss of cases that have no labels. */
export const meanSquare = (result: Tensor): Tensor => tf.mean(tf.square(result));

/**
 * Loads the case's weights, marks its trainable parameters, runs images to logits and cross entropy (or what `options`
 * names instead), and checks the result, intermediates, loss, buffers and the gradients of parameters and image.
 */
export async function runClassifier(
  parityCase: ParityCase,
  check: Checker,
  model: Module,
  options: ModelRun = {},
): Promise<void> {
  const { forward = (image, context) => model.forward(image, context), rename = (name) => name } = options;
  const {
    computed = [],
    output = 'logits',
    loss = (result) => crossEntropy(result, toLabels(inputs['labels']!)),
  } = options;
  const { trainable, mode } = parityCase.spec;
  const inputs = parityCase.tensors('inputs');
  const expected = parityCase.tensors('expected');
  const weights = toStateDict(parityCase.tensors('weights'));
  const names = [...model.namedParameters(), ...model.namedBuffers()].map(([name]) => name);
  model.loadStateDict(Object.fromEntries(names.map((name) => [name, weights[rename(name)]!])));
  check.equal('names of the weights', [...names.map(rename), ...computed].sort(), Object.keys(weights).sort());
  model.setTrainable((name) => trainable.includes(rename(name))).train(mode === 'train');

  const image = tf.variable(toImages(inputs['image']!));
  const parameters = [...model.trainableParameters()];
  const ofImage = 'grad_input.image' in expected;
  const kept: Record<string, Tensor> = {};
  const { value, gradients } = valueAndGradients(() => {
    const tap = (name: string, tensor: Tensor): void => {
      if (name in expected) kept[name] = tf.keep(tensor.clone());
    };
    const result = forward(image, new ForwardContext(undefined, tap));
    tap(output, result);
    return loss(result);
  }, [...parameters.map(([, parameter]) => parameter.value as Tensor), ...(ofImage ? [image as Variable] : [])]);

  for (const [name, tensor] of Object.entries(kept)) await checkTensor(check, name, tensor);
  await checkTensor(check, 'loss', value);
  for (const [i, [name]] of parameters.entries()) await checkTensor(check, `grad.${rename(name)}`, gradients[i]!);
  if (ofImage) await checkTensor(check, 'grad_input.image', tf.transpose(gradients.at(-1)!, [0, 3, 1, 2]));
  for (const [name, buffer] of model.namedBuffers()) {
    if (`buffer.${rename(name)}` in expected) await checkTensor(check, `buffer.${rename(name)}`, buffer.value);
  }
  image.dispose();
  model.dispose();
}
