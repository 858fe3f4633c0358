// vitlab's own TensorFlow ops (native/), compiled by the set-up: layer norm, GELU, attention, windows and optimiser
// updates in one pass over memory each. They run on processors only, and whoever uses one has the same of ordinary ops
// for where they are not there.
import fs from 'node:fs';
import path from 'node:path';
import { isTensorflow, type OpAttribute, tensorflow } from './backend.js';
import type { Tensor, tf } from './tf.js';

/** The instructions that the loaded ops use, such as `avx512`, and those of their products in bfloat16, such as `amx`. */
let instructions: { float: string; half: string } | undefined;
let portable = 0;

/**
 * Loads the compiled ops, if they are there. VITLAB_NATIVE_OPS=0 leaves them out, for comparisons.
 * @throws where the file is there and cannot be loaded
 */
export function loadNativeOps(): void {
  if (instructions !== undefined || process.env['VITLAB_NATIVE_OPS'] === '0') return;
  const packageFile = require.resolve('@tensorflow/tfjs-node-gpu/package.json');
  const file = path.join(path.dirname(packageFile), 'lib/napi-v8/vitlab_ops.node');
  if (!fs.existsSync(file)) return;
  const addon = require(file) as { instructions: string; halfInstructions: string };
  instructions = { float: addon.instructions, half: addon.halfInstructions };
}

/** The instructions that the loaded ops use on tensors in float32 and in bfloat16; undefined where there are none. */
export const nativeInstructions = (): Readonly<{ float: string; half: string }> | undefined => instructions;

/** Whether the ops can be used now: they are loaded, TensorFlow computes, and nobody wants ordinary ops only. */
export const hasNativeOps = (): boolean => instructions !== undefined && portable === 0 && isTensorflow();

/** Runs `f` with ordinary TensorFlow ops only, so that what it records can be computed elsewhere. */
export function withPortableOps<T>(f: () => T): T {
  portable++;
  try {
    return f();
  } finally {
    portable--;
  }
}

/** Attributes of an own op by name. */
export type NativeAttributes = Readonly<
  Record<
    string,
    { float: number } | { int: number } | { ints: readonly number[] } | { bool: boolean } | { type: 'float' }
  >
>;

/** Attributes of an own op as the binding takes them. */
export function nativeAttributes(attributes: NativeAttributes): OpAttribute[] {
  const { binding } = tensorflow();
  return Object.entries(attributes).map(([name, value]) => {
    if ('float' in value) return { name, type: binding.TF_ATTR_FLOAT, value: value.float };
    if ('int' in value) return { name, type: binding.TF_ATTR_INT, value: value.int };
    if ('ints' in value) return { name, type: binding.TF_ATTR_INT, value: [...value.ints] };
    if ('type' in value) return { name, type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    return { name, type: binding.TF_ATTR_BOOL, value: value.bool };
  });
}

/** Runs an own op, or one of TensorFlow's that tfjs has no name for. Not differentiable by itself. */
export function executeNative(
  name: string,
  inputs: readonly tf.TensorInfo[],
  outputs = 1,
  attributes: NativeAttributes = {},
): Tensor[] {
  return tensorflow().executeMultipleOutputs(name, nativeAttributes(attributes), [...inputs], outputs);
}
