// Autocast: matrix products and dense convolutions in bfloat16, everything else in float32. A rewrite of the recorded
// graph, so layers, losses and optimisers do not know of it; weights and their updates stay in float32.
import { DataType, type GraphNode, typeAttribute } from './graph.js';

/** Ops that are computed in bfloat16, and which of their inputs are floats (others are sizes). */
const CAST_INPUTS: Readonly<Record<string, readonly number[]>> = {
  MatMul: [0, 1],
  BatchMatMulV2: [0, 1],
  Conv2D: [0, 1],
  Conv2DBackpropInput: [1, 2],
  Conv2DBackpropFilter: [0, 2],
};

/** `nodes` with casts around every op of `CAST_INPUTS` that works on float32. A tensor is cast once for all its users. */
export function autocast(nodes: readonly GraphNode[]): GraphNode[] {
  const rewritten: GraphNode[] = [];
  const casts = new Map<string, string>();
  const cast = (name: string, input: string, from: number, to: number): string => {
    const attributes = { SrcT: typeAttribute(from), DstT: typeAttribute(to) };
    rewritten.push({ name, op: 'Cast', inputs: [input], attributes });
    return `${name}:0`;
  };
  const toBfloat16 = (input: string): string => {
    const known = casts.get(input);
    if (known) return known;
    const made = cast(`bf16/${casts.size}`, input, DataType.float, DataType.bfloat16);
    casts.set(input, made);
    return made;
  };
  for (const node of nodes) {
    const floats = CAST_INPUTS[node.op];
    if (!floats || node.attributes['T']?.value !== DataType.float) {
      rewritten.push(node);
      continue;
    }
    const inputs = node.inputs.map((input, i) => (floats.includes(i) ? toBfloat16(input) : input));
    const name = `${node.name}/bf16`;
    rewritten.push({ ...node, name, inputs, attributes: { ...node.attributes, T: typeAttribute(DataType.bfloat16) } });
    cast(node.name, `${name}:0`, DataType.bfloat16, DataType.float);
  }
  return rewritten;
}
