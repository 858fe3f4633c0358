// Matrix products in bfloat16 as our own op (native/product.cc), with the bias and the residual that follow. A rewrite of the
// recorded graph.
import { hasHalfProducts } from '../nativeOps.js';
import {
  DataType,
  first,
  type GraphNode,
  makersOf,
  ONE,
  type Readers,
  readersOf,
  redirected,
  shapeText,
  typeAttribute,
  waiting,
} from './graph.js';
import { asMatMul } from './products.js';

/** Rows and columns that a product needs for our op to pay. */
const LEAST = 16;

const FLOAT = typeAttribute(DataType.float);

/** What one op of ours computes. */
interface Fused {
  product: GraphNode;
  bias?: GraphNode;
  /** A reshape of the product, or of the product with its bias. */
  reshape?: GraphNode;
  residual?: string;
}

/** `nodes` with products of ours, where the processor multiplies bfloat16. They round what they multiply to it. */
export const ownHalfProducts = (nodes: readonly GraphNode[]): GraphNode[] =>
  hasHalfProducts() ? new HalfProducts(nodes.map(asMatMul)).nodes : [...nodes];

class HalfProducts {
  readonly nodes: GraphNode[];
  private readonly readers: Readers;
  private readonly makers: ReadonlyMap<string, GraphNode>;
  private readonly canWait: (node: GraphNode, last: GraphNode) => boolean;
  /** What is computed where, by the node whose result it is. */
  private readonly fused = new Map<string, Fused>();
  /** Nodes that are computed within another. */
  private readonly within = new Map<string, string[]>();

  constructor(nodes: readonly GraphNode[]) {
    this.readers = readersOf(nodes);
    this.makers = makersOf(nodes);
    this.canWait = waiting(nodes, this.readers);
    // the last of a product, its bias and the sum with a residual has the result of all
    for (const node of [...nodes].reverse()) if (!this.within.has(node.name)) this.find(node);
    const rewritten = nodes.flatMap((node) => {
      const fused = this.fused.get(node.name);
      if (fused) return asOwn(node, fused);
      return this.within.has(node.name) ? [] : [node];
    });
    this.nodes = redirected(rewritten, this.within);
  }

  private find(node: GraphNode): void {
    for (const fused of this.endingIn(node)) {
      const parts = [fused.product, fused.bias, fused.reshape].filter((part) => part && part !== node) as GraphNode[];
      if (!parts.every((part) => this.canWait(part, node))) continue;
      this.fused.set(node.name, fused);
      for (const part of parts) this.within.set(part.name, [node.name]);
      return;
    }
  }

  private endingIn(node: GraphNode): Fused[] {
    if (node.op === 'Add' && node.attributes['T']?.value === DataType.float) return this.besideResidual(node);
    const fused = this.product(node);
    return fused ? [fused] : [];
  }

  /** A product, or one with its bias. */
  private product(node: GraphNode | undefined): Fused | undefined {
    if (node?.op !== 'BiasAdd') return node && isProduct(node) ? { product: node } : undefined;
    const product = this.only(node.inputs[0]!);
    return product && isProduct(product) ? { product, bias: node } : undefined;
  }

  /** A sum of two tensors of one shape, with the term that is a product. */
  private besideResidual({ inputs }: GraphNode): Fused[] {
    const [a, b] = inputs as [string, string];
    if (shapeText(this.makers.get(a)) !== shapeText(this.makers.get(b))) return [];
    const sides = [
      [a, b],
      [b, a],
    ] as const;
    return sides.flatMap(([term, residual]) => {
      const node = this.only(term);
      const reshape = node?.op === 'Reshape' ? node : undefined;
      const fused = this.product(reshape ? this.only(reshape.inputs[0]!) : node);
      return fused ? [{ ...fused, ...(reshape && { reshape }), residual }] : [];
    });
  }

  /** The maker of a tensor that one node reads, and once. */
  private only(tensor: string): GraphNode | undefined {
    return this.readers.get(tensor)?.length === 1 ? this.makers.get(tensor) : undefined;
  }
}

const isProduct = ({ op, attributes, shape }: GraphNode): boolean =>
  op === 'MatMul' && attributes['T']?.value === DataType.float && shape?.every((side) => side >= LEAST) === true;

function asOwn(last: GraphNode, { product, bias, reshape, residual }: Fused): GraphNode[] {
  const { transpose_a, transpose_b } = product.attributes;
  const [a, b, ...after] = product.inputs;
  const own: GraphNode = {
    name: reshape ? `${last.name}/product` : last.name,
    op: 'VitlabProduct',
    inputs: [a!, b!, ...(bias ? [bias.inputs[1]!] : []), ...(residual ? [residual] : []), ...after],
    attributes: {
      ...{ Ta: FLOAT, Tb: FLOAT, Tc: FLOAT, transpose_a: transpose_a!, transpose_b: transpose_b! },
      ...(bias && { biases: ONE }),
      ...(residual && { residuals: ONE }),
    },
    ...(product.shape && { shape: product.shape }),
  };
  return reshape ? [own, { ...reshape, name: last.name, inputs: [first(own), ...reshape.inputs.slice(1)] }] : [own];
}
