// Autocast: matrix products and dense convolutions in bfloat16, everything else in float32. A rewrite of the recorded
// graph, so layers, losses and optimisers do not know of it; weights and their updates stay in float32. What no step
// changes is cast once, when it is sent in, and kept in both types.
//
// Memory is what limits the ops between the products. So a result that is in bfloat16 anyway is read as such by our own
// ops, which compute in float32, and one that only products would read in bfloat16 is written as such.
import { FixedForms } from './fixed.js';
import {
  type AttributeValue,
  DataType,
  first,
  type GraphNode,
  type Readers,
  readersOf,
  typeAttribute,
} from './graph.js';
import type { SessionVariable } from './recordingSession.js';

/** Ops that are computed in bfloat16, and which of their inputs are floats (others are sizes). */
const PRODUCTS: Readonly<Record<string, readonly number[]>> = {
  MatMul: [0, 1],
  BatchMatMulV2: [0, 1],
  Conv2D: [0, 1],
  Conv2DBackpropInput: [1, 2],
  Conv2DBackpropFilter: [0, 2],
};

/** Inputs that an op of ours reads in either type, and the result that it writes in either, by the types' attributes. */
interface Flexible {
  reads: Readonly<Record<number, string>>;
  writes?: string;
  /**
   * Whether the result is about as exact as what is read. If that is in bfloat16, and there is no residual, then bfloat16
   * is enough for whoever reads either.
   */
  asRead?: boolean;
  /** Inputs that it rounds to bfloat16 itself. */
  rounds?: readonly number[];
  /** The input that it also takes as `VitlabPack` leaves it, in the order in which it is used. */
  packs?: number;
}

const FLEXIBLE: Readonly<Record<string, Flexible>> = {
  VitlabProduct: { reads: { 0: 'Ta', 1: 'Tb' }, writes: 'Tc', asRead: true, rounds: [0, 1], packs: 1 },
  VitlabBiasAdd: { reads: { 0: 'Tx' }, writes: 'Ty', asRead: true },
  VitlabGelu: { reads: { 0: 'Tx' }, writes: 'Ty' },
  VitlabGeluGrad: { reads: { 0: 'Tdy', 1: 'Tx' }, writes: 'Tdx' },
  VitlabLayerNorm: { reads: {}, writes: 'Ty' },
  VitlabLayerNormGradInput: { reads: { 0: 'Tdy' } },
  VitlabLayerNormGradWeights: { reads: { 0: 'Tdy' } },
  VitlabColumnSum: { reads: { 0: 'T' } },
  VitlabDropout: { reads: { 0: 'Tx' }, writes: 'Ty', asRead: true },
  VitlabAttention: { reads: { 0: 'Tqkv' }, writes: 'Tout' },
  VitlabAttentionGrad: { reads: { 0: 'Tdout', 1: 'Tqkv', 4: 'Tout' }, writes: 'Tdqkv' },
};

/** Ops that only move what is in their first input. */
const MOVES: ReadonlySet<string> = new Set(['Reshape', 'VitlabWindows']);

const HALF = typeAttribute(DataType.bfloat16);

/**
 * `nodes` with every op of `PRODUCTS` on float32 in bfloat16. A tensor is cast once for all its users, and `fixed`
 * variables, which no step changes, are cast and packed once for all runs.
 */
export function autocast(nodes: readonly GraphNode[], fixed: readonly SessionVariable[] = []): GraphNode[] {
  const { rewritten, forms } = new Autocast(nodes, fixed);
  return forms.among(rewritten);
}

class Autocast {
  readonly rewritten: GraphNode[] = [];
  /** The bfloat16 form of a tensor, for those that have one. */
  private readonly halves = new Map<string, string>();
  /** Tensors whose bfloat16 form is what was computed; it loses nothing. */
  private readonly exact = new Set<string>();
  /** Tensors that are in bfloat16 alone. */
  private readonly halfOnly = new Set<string>();
  private readonly readers: Readers;
  readonly forms: FixedForms;

  constructor(nodes: readonly GraphNode[], fixed: readonly SessionVariable[]) {
    this.forms = new FixedForms(fixed);
    this.readers = readersOf(nodes);
    for (const node of nodes) this.rewrite(node);
  }

  private rewrite(node: GraphNode): void {
    const isFloat = node.attributes['T']?.value === DataType.float;
    const ofHalf = this.exact.has(node.inputs[0]!);
    const product = PRODUCTS[node.op];
    const flexible = FLEXIBLE[node.op];
    if (product && isFloat) this.inHalf(node, product);
    else if (MOVES.has(node.op) && ofHalf) this.move(node);
    else if (flexible) this.flex(node, flexible);
    else this.rewritten.push(node);
  }

  /** Our own op, reading and writing in bfloat16 where that loses nothing or is what its readers want. */
  private flex(node: GraphNode, flexible: Flexible): void {
    const attributes = { ...node.attributes };
    const inputs = node.inputs.map((source, i) => {
      const type = flexible.reads[i];
      const fixed = this.forms.of(source);
      if (fixed && i === flexible.packs) {
        Object.assign(attributes, { [type!]: HALF, columns: { kind: 'int', value: node.shape![1]! } });
        return this.packed(fixed, node.attributes['transpose_b']!);
      }
      const rounded = flexible.rounds?.includes(i) && (fixed || this.halves.has(source));
      if (type === undefined || !(rounded || this.exact.has(source))) return source;
      attributes[type] = HALF;
      return this.half(source);
    });
    const use = this.use(first(node));
    const { asRead, rounds, reads, writes } = flexible;
    const readsHalf = rounds !== undefined || Object.values(reads).every((type) => attributes[type] === HALF);
    const exactAsRead = asRead && readsHalf && !attributes['residuals']?.value;
    if (writes && (use === 'half' || (use === 'any' && exactAsRead))) {
      attributes[writes] = HALF;
      this.know(first(node), first(node));
      this.halfOnly.add(first(node));
    }
    this.rewritten.push({ ...node, inputs, attributes });
  }

  /** The node in bfloat16, and its result cast back for whoever reads that in float32. */
  private inHalf(node: GraphNode, floats: readonly number[]): void {
    const inputs = node.inputs.map((input, i) => (floats.includes(i) ? this.half(input) : input));
    const name = `${node.name}/bf16`;
    this.rewritten.push({ ...node, name, inputs, attributes: { ...node.attributes, T: HALF } });
    this.cast(node.name, `${name}:0`, DataType.bfloat16, DataType.float);
    this.know(first(node), `${name}:0`);
  }

  /** The same move of the bfloat16 form, beside that of the float32 form where there is one. */
  private move(node: GraphNode): void {
    const [source, ...rest] = node.inputs;
    const only = this.halfOnly.has(source!);
    if (!only) this.rewritten.push(node);
    const name = only ? node.name : `${node.name}/bf16`;
    const attributes = { ...node.attributes, T: HALF };
    this.rewritten.push({ ...node, name, inputs: [this.halves.get(source!)!, ...rest], attributes });
    this.know(first(node), `${name}:0`);
    if (only) this.halfOnly.add(first(node));
  }

  private know(tensor: string, half: string): void {
    this.halves.set(tensor, half);
    this.exact.add(tensor);
  }

  private half(tensor: string): string {
    const known = this.halves.get(tensor);
    if (known) return known;
    const fixed = this.forms.of(tensor);
    const made = fixed
      ? this.kept(fixed)
      : this.cast(`bf16/${this.halves.size}`, tensor, DataType.float, DataType.bfloat16);
    this.halves.set(tensor, made);
    return made;
  }

  /** A fixed variable in bfloat16. */
  private kept(variable: SessionVariable): string {
    const op = { op: 'Cast', attributes: castAttributes(DataType.float, DataType.bfloat16) };
    return this.forms.read(variable, { name: 'bf16', dtype: DataType.bfloat16, shape: variable.variable.shape, op });
  }

  /** A fixed variable as the second factor of products, in the order in which they use it. */
  private packed(variable: SessionVariable, transpose: AttributeValue): string {
    const name = transpose.value ? 'packedTransposed' : 'packed';
    const op = { op: 'VitlabPack', attributes: { transpose } };
    return this.forms.read(variable, { name, dtype: DataType.bfloat16, shape: [-1], op });
  }

  private cast(name: string, input: string, from: number, to: number): string {
    this.rewritten.push({ name, op: 'Cast', inputs: [input], attributes: castAttributes(from, to) });
    return `${name}:0`;
  }

  /** `half` if some reader of a tensor takes it in bfloat16 and none needs it in float32; `any` if none cares. */
  private use(tensor: string): 'half' | 'any' | 'float' {
    let found: 'half' | 'any' = 'any';
    for (const { node, input } of this.readers.get(tensor) ?? []) {
      const use = this.useOf(node, input);
      if (use === 'float') return 'float';
      if (use === 'half') found = 'half';
    }
    return found;
  }

  private useOf(node: GraphNode, input: number): 'half' | 'any' | 'float' {
    const flexible = FLEXIBLE[node.op];
    if (PRODUCTS[node.op]?.includes(input) || flexible?.rounds?.includes(input)) return 'half';
    if (flexible?.reads[input] !== undefined) return 'any';
    return MOVES.has(node.op) && input === 0 ? this.use(first(node)) : 'float';
  }
}

const castAttributes = (from: number, to: number) => ({ SrcT: typeAttribute(from), DstT: typeAttribute(to) });
