// Biases in the pass over memory of what follows them: a GELU, its gradient, or the sum with a residual. A rewrite of the
// recorded graph, for bfloat16. (In float32 TensorFlow adds a bias within the product.)
import { hasNativeOps } from '../nativeOps.js';
import {
  first,
  type GraphNode,
  makersOf,
  ONE,
  type Readers,
  readersOf,
  redirected,
  shapeText,
  waiting,
} from './graph.js';

/** Ops of ours that take a bias, and which of their inputs it is added to. */
const TAKES_BIAS: Readonly<Record<string, number>> = { VitlabGelu: 0, VitlabGeluGrad: 1 };

/** `nodes` with every bias in an op of ours: in the one that follows, or in one of its own. */
export function biasesInside(nodes: readonly GraphNode[]): GraphNode[] {
  return hasNativeOps() ? new Biases(biasesLast(nodes)).inside() : [...nodes];
}

/** Every bias as our own op, and after the reshape that follows it, where the last axis stays. */
function biasesLast(nodes: readonly GraphNode[]): GraphNode[] {
  const readers = readersOf(nodes);
  const canWait = waiting(nodes, readers);
  const moved = new Map<string, GraphNode>();
  const instead = new Map<string, string[]>();
  const rewritten = nodes.flatMap((node) => {
    if (node.op === 'BiasAdd') {
      const [reader, ...others] = readers.get(first(node)) ?? [];
      const next = reader?.node;
      const reshaped = others.length === 0 && next?.op === 'Reshape' && next.shape?.at(-1) === node.shape?.at(-1);
      if (!reshaped || !canWait(node, next)) return [{ ...node, op: 'VitlabBiasAdd', attributes: {} }];
      moved.set(first(node), node);
      instead.set(node.name, [next.name]);
      return [];
    }
    const bias = node.op === 'Reshape' && moved.get(node.inputs[0]!);
    if (!bias) return [node];
    const [product, values] = bias.inputs as [string, string];
    const reshape = { ...node, name: bias.name, inputs: [product, ...node.inputs.slice(1)] };
    return [reshape, { ...node, op: 'VitlabBiasAdd', inputs: [first(reshape), values], attributes: {} }];
  });
  return redirected(rewritten, instead);
}

class Biases {
  private readonly readers: Readers;
  private readonly makers: ReadonlyMap<string, GraphNode>;
  private readonly canWait: (node: GraphNode, last: GraphNode) => boolean;

  constructor(private readonly nodes: readonly GraphNode[]) {
    this.readers = readersOf(nodes);
    this.makers = makersOf(nodes);
    this.canWait = waiting(nodes, this.readers);
  }

  inside(): GraphNode[] {
    const instead = new Map<string, string[]>();
    const rewritten = this.nodes.flatMap((node) => {
      if (node.op === 'VitlabBiasAdd') {
        const readers = this.readersOf(node);
        const taken = readers.length > 0 && readers.every((reader) => this.takenBy(reader) === node);
        if (!taken) return [node];
        instead.set(
          node.name,
          readers.map((reader) => reader.name),
        );
        return [];
      }
      const bias = this.takenBy(node);
      return [bias ? withBias(node, bias) : node];
    });
    return redirected(rewritten, instead);
  }

  private readersOf(node: GraphNode): GraphNode[] {
    return (this.readers.get(first(node)) ?? []).map((reader) => reader.node);
  }

  /** The bias that `node` can add itself, as can everyone else who reads the sum. */
  private takenBy(node: GraphNode): GraphNode | undefined {
    if (node.op === 'Add') return this.besideResidual(node);
    const bias = this.biasOf(node);
    return bias && this.readersOf(bias).every((reader) => this.biasOf(reader) === bias) ? bias : undefined;
  }

  /** The bias that a GELU or its gradient reads, added to what it is of. */
  private biasOf(node: GraphNode): GraphNode | undefined {
    const place = TAKES_BIAS[node.op];
    if (place === undefined) return undefined;
    const maker = this.makers.get(node.inputs[place]!);
    const once = node.inputs.filter((input) => input === node.inputs[place]).length === 1;
    return once && maker?.op === 'VitlabBiasAdd' && this.canWait(maker, node) ? maker : undefined;
  }

  /** The bias that a sum of two tensors of one shape is the only reader of. */
  private besideResidual(sum: GraphNode): GraphNode | undefined {
    const { inputs } = sum;
    const terms = inputs.map((input) => this.makers.get(input));
    if (inputs[0] === inputs[1] || shapeText(terms[0]) !== shapeText(terms[1])) return undefined;
    return terms.find(
      (term) => term?.op === 'VitlabBiasAdd' && this.readersOf(term).length === 1 && this.canWait(term, sum),
    );
  }
}

function withBias(node: GraphNode, bias: GraphNode): GraphNode {
  const [product, values] = bias.inputs as [string, string];
  if (node.op === 'Add') {
    const residual = node.inputs.find((input) => input !== first(bias))!;
    return { ...node, op: bias.op, inputs: [product, values, residual], attributes: { residuals: ONE } };
  }
  const inputs = node.inputs.map((input) => (input === first(bias) ? product : input));
  return { ...node, inputs: [...inputs, values], attributes: { ...node.attributes, biases: ONE } };
}
