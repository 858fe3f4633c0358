// Matrix products in the forms that TensorFlow's float32 kernels for processors are fast at. A rewrite of the recorded
// graph.
import os from 'node:os';
import { hasNativeOps, nativeInstructions } from '../nativeOps.js';
import { FixedForms } from './fixed.js';
import { DataType, type GraphNode } from './graph.js';
import type { SessionVariable } from './recordingSession.js';

/**
 * Columns of a result at which oneDNN's float32 kernel for AVX-512 (TensorFlow 2.21) falls to half its speed on processors of
 * Intel, unless the second factor is given transposed. They are the columns of the gradients of a ViT-B's MLP. Processors of
 * AMD lose nothing there: a ViT-B's step is 1.02 times as fast without the transposes.
 */
const SLOW_COLUMNS = 3072;

/**
 * `nodes` with faster products of the same values, but for the last bits; `turns` transposes factors of slow ones. Of
 * `fixed` variables, which no step changes, a transpose is kept where one is needed.
 */
export function fastProducts(
  nodes: readonly GraphNode[],
  fixed: readonly SessionVariable[] = [],
  turns = hasNativeOps() && nativeInstructions()!.float === 'avx512' && isIntel(),
): GraphNode[] {
  const forms = new FixedForms(fixed);
  const fast = nodes.flatMap((node) => {
    const plain = asMatMul(node);
    return turns && isSlow(plain) ? turned(plain, forms) : [plain];
  });
  return forms.among(fast);
}

const isIntel = (): boolean => os.cpus()[0]?.model.includes('Intel') === true;

const isSlow = ({ op, attributes, shape }: GraphNode): boolean =>
  op === 'MatMul' && attributes['T']?.value === DataType.float && shape?.[1] === SLOW_COLUMNS;

/**
 * tfjs-node has a batched product for all; TensorFlow fuses the plain one with the bias behind it. (In bfloat16 the fused
 * kernel is slower than the two.)
 */
export function asMatMul(node: GraphNode): GraphNode {
  if (node.op !== 'BatchMatMulV2' || node.shape?.length !== 2) return node;
  const { T, adj_x, adj_y } = node.attributes;
  return { ...node, op: 'MatMul', attributes: { T: T!, transpose_a: adj_x!, transpose_b: adj_y! } };
}

/**
 * a · b as a · (bᵀ)ᵀ, and aᵀ · b as the transpose of bᵀ · a: a transpose is one pass over a matrix, which is little beside
 * a product. With an op of our own, because TensorFlow's graph optimiser would fold its own.
 */
function turned(node: GraphNode, forms: FixedForms): GraphNode[] {
  const { name, inputs, attributes } = node;
  if (attributes['transpose_b']?.value) return [node];
  const [a, b, ...after] = inputs as [string, string, ...string[]];
  const other = `${name}/turned`;
  const transpose = (from: string, to: string): GraphNode => ({ ...TRANSPOSE, name: to, inputs: [from] });
  if (attributes['transpose_a']?.value) {
    return [{ ...node, name: other, inputs: [b, a, ...after] }, transpose(`${other}:0`, name)];
  }
  const transposed = { ...attributes, transpose_b: { kind: 'bool', value: true } } as const;
  const fixed = forms.of(b);
  if (!fixed) return [transpose(b, other), { ...node, inputs: [a, `${other}:0`, ...after], attributes: transposed }];
  const shape = [...fixed.variable.shape].reverse();
  const kept = forms.read(fixed, { name: 'transposed', dtype: DataType.float, shape, op: TRANSPOSE });
  return [{ ...node, inputs: [a, kept, ...after], attributes: transposed }];
}

const TRANSPOSE = { op: 'VitlabTranspose', attributes: {} };
