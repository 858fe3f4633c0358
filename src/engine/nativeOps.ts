// vitlab's own TensorFlow ops (native/), compiled by the set-up: layer norm, GELU, attention, dropout, windows and optimiser
// updates in one pass over memory each. They run on processors only.
import fs from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors.js';
import { isTensorflow, type OpAttribute, tensorflow } from './backend.js';
import { type OwnAttributes, ownOpsWanted } from './ownOps.js';
import type { Tensor, tf } from './tf.js';

/** What VITLAB_BF16 may name: instructions that multiply bfloat16, by which the ops do where the processor has them. */
const HALF_INSTRUCTIONS: readonly string[] = ['amx', 'avx512bf16', 'none'];

/** The instructions that the loaded ops use, such as `avx512`, and those of their products in bfloat16, such as `amx`. */
let instructions: { float: string; half: string } | undefined;

/**
 * Loads the compiled ops, if they are there and wanted.
 * @throws where the file is there and cannot be loaded
 */
export function loadNativeOps(): void {
  if (instructions !== undefined || !ownOpsWanted()) return;
  const wanted = process.env['VITLAB_BF16'];
  if (wanted !== undefined && !HALF_INSTRUCTIONS.includes(wanted)) {
    throw new UsageError(`VITLAB_BF16 is '${wanted}', but must be one of ${HALF_INSTRUCTIONS.join(', ')}.`);
  }
  const packageFile = require.resolve('@tensorflow/tfjs-node-gpu/package.json');
  const file = path.join(path.dirname(packageFile), 'lib/napi-v8/vitlab_ops.node');
  if (!fs.existsSync(file)) return;
  const addon = require(file) as { instructions: string; halfInstructions: string };
  instructions = { float: addon.instructions, half: addon.halfInstructions };
}

/** The instructions that the loaded ops use on tensors in float32 and in bfloat16; undefined where there are none. */
export const nativeInstructions = (): Readonly<{ float: string; half: string }> | undefined => instructions;

/** Whether the ops can be used now: they are loaded, TensorFlow computes, and nobody wants ordinary ops only. */
export const hasNativeOps = (): boolean => instructions !== undefined && ownOpsWanted() && isTensorflow();

/** Whether they have matrix products in bfloat16: the processor multiplies it. */
export const hasHalfProducts = (): boolean => hasNativeOps() && instructions!.half !== instructions!.float;

/** Ops that layers and optimisers ask for. `BiasAdd` is TensorFlow's, under no name of tfjs. */
const ASKED_FOR: ReadonlySet<string> = new Set([
  ...['BiasAdd', 'VitlabGelu', 'VitlabLayerNorm', 'VitlabAttention', 'VitlabColumnSum', 'VitlabDepthwise'],
  ...['VitlabDropout', 'VitlabWindows', 'VitlabAdam', 'VitlabMomentum'],
]);

/** Whether this op can be used now. */
export const hasNativeOp = (name: string): boolean => hasNativeOps() && ASKED_FOR.has(name);

/** Attributes of an own op as the binding takes them. */
export function nativeAttributes(attributes: OwnAttributes): OpAttribute[] {
  const { binding } = tensorflow();
  return Object.entries(attributes).map(([name, value]) => {
    if ('float' in value) return { name, type: binding.TF_ATTR_FLOAT, value: value.float };
    if ('int' in value) return { name, type: binding.TF_ATTR_INT, value: value.int };
    if ('ints' in value) return { name, type: binding.TF_ATTR_INT, value: [...value.ints] };
    if ('type' in value) return { name, type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    return { name, type: binding.TF_ATTR_BOOL, value: value.bool };
  });
}

/** Runs an own op, or one of TensorFlow's that tfjs has no name for; gives all outputs, or the one `only`. */
export function executeNative(
  name: string,
  inputs: readonly tf.TensorInfo[],
  outputs: number,
  attributes: OwnAttributes,
  only?: number,
): Tensor[] {
  const made = tensorflow().executeMultipleOutputs(name, nativeAttributes(attributes), [...inputs], outputs);
  return only === undefined ? made : [made[only]!];
}
