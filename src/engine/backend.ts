// The part of tfjs-node's TensorFlow backend that vitlab uses, typed. tfjs-node marks it private; `tensorflow()` checks
// once that what is used is there, so that another version fails here, by name, and nowhere else.
import { VitlabError } from '../errors.js';
import { type Tensor, tf } from './tf.js';

/** An attribute of a TensorFlow op as the native binding takes it. */
export interface OpAttribute {
  name: string;
  type: number;
  value: unknown;
}

/** What the native binding says of a tensor that an op made. */
export interface TensorHandle {
  id: number;
  shape: number[];
  dtype: number;
}

export type HostValues = Float32Array | Int32Array | Uint8Array;

/** The native binding of tfjs-node: TensorFlow's C API over Node-API. */
export interface Binding {
  TF_FLOAT: number;
  TF_INT32: number;
  TF_BOOL: number;
  TF_ATTR_STRING: number;
  TF_ATTR_INT: number;
  TF_ATTR_FLOAT: number;
  TF_ATTR_BOOL: number;
  TF_ATTR_TYPE: number;
  TF_ATTR_SHAPE: number;
  TF_Version: string;
  createTensor(shape: number[], dtype: number, values: HostValues | number[]): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): HostValues;
  executeOp(name: string, attributes: OpAttribute[], inputs: number[], outputs: number): TensorHandle[];
  isUsingGpuDevice(): boolean;
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputs: number[], inputNames: string, outputNames: string): TensorHandle[];
}

/** What the backend keeps of a tensor; clones and the variables they were assigned to share it. */
export interface TensorRecord {
  shape: number[];
  dtype: number;
  /** Values that wait in JavaScript until an op needs them. */
  values: HostValues | null;
  /** Of the native tensor. */
  id: number;
  refCount: number;
}

/** tfjs-node's backend: executes TensorFlow ops by name. */
export interface TensorflowBackend {
  binding: Binding;
  tensorMap: { get(dataId: object): TensorRecord; has(dataId: object): boolean };
  getDTypeInteger(dtype: string): number;
  getInputTensorIds(tensors: tf.TensorInfo[]): number[];
  createOutputTensor(handle: TensorHandle): Tensor;
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: tf.TensorInfo[]): Tensor;
  executeMultipleOutputs(name: string, attributes: OpAttribute[], inputs: tf.TensorInfo[], outputs: number): Tensor[];
}

const REQUIRED = ['binding', 'tensorMap', 'getDTypeInteger', 'getInputTensorIds', 'createOutputTensor'] as const;

/** True where ops run on TensorFlow (tfjs-node), the engine that can capture. */
export function isTensorflow(): boolean {
  return tf.getBackend() === 'tensorflow';
}

/**
 * The TensorFlow backend.
 * @throws VitlabError where another engine is active or tfjs-node lacks what vitlab uses.
 */
export function tensorflow(): TensorflowBackend {
  if (!isTensorflow()) {
    throw new VitlabError(`This needs the tensorflow engine, but ${tf.getBackend()} is active (see VITLAB_ENGINE).`);
  }
  const backend = tf.backend() as unknown as TensorflowBackend;
  for (const member of REQUIRED) {
    if (backend[member] === undefined) {
      throw new VitlabError(
        `tfjs-node's backend has no '${member}': vitlab needs @tensorflow/tfjs-node-gpu 4.22, found another version.`,
      );
    }
  }
  return backend;
}

/** Runs a TensorFlow op with one output by name. Not differentiable by itself. */
export function executeOp(name: string, attributes: OpAttribute[], inputs: tf.TensorInfo[]): Tensor {
  return tensorflow().executeSingleOutput(name, attributes, inputs);
}

/** Hands values that wait in JavaScript to TensorFlow now and not when an op needs them, so that they are not held twice. */
export function handOver(tensor: Tensor): void {
  if (isTensorflow()) tensorflow().getInputTensorIds([tensor]);
}
