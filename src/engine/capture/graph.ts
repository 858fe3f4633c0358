// A TensorFlow graph as data, and its file form (tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto and
// tensorflow/core/protobuf/{meta_graph,saved_model}.proto).
import type { HostValues, OpAttribute } from '../backend.js';
import { MessageWriter } from './wire.js';

/** TensorFlow's numbers for element types. */
export const DataType = { float: 1, int32: 3, uint8: 4, int64: 9, bool: 10, bfloat16: 14 } as const;

/** A constant: all values, or one value that fills the shape. */
export interface ConstantTensor {
  dtype: number;
  shape: readonly number[];
  content: Uint8Array | { fill: number };
}

export type AttributeValue =
  | { kind: 'string'; value: string }
  | { kind: 'int' | 'float' | 'type'; value: number | readonly number[] }
  | { kind: 'bool'; value: boolean | readonly boolean[] }
  | { kind: 'shape'; value: readonly number[] }
  | { kind: 'tensor'; value: ConstantTensor };

/** One operation. An input is `node:output`, or `^node` for order alone. */
export interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
  attributes: Record<string, AttributeValue>;
  /** Of the first output, where the op was seen to run. */
  shape?: readonly number[];
}

export const typeAttribute = (value: number): AttributeValue => ({ kind: 'type', value });

/** Says of an input that may be left out that it is there. */
export const ONE: AttributeValue = { kind: 'int', value: 1 };

/** The node of a session variable. */
export function variableNode(name: string, dtype: number, shape: readonly number[]): GraphNode {
  const text = (value: string): AttributeValue => ({ kind: 'string', value });
  const attributes = { shared_name: text(name), container: text('') };
  const type = { dtype: typeAttribute(dtype), shape: { kind: 'shape', value: shape } as const };
  return { name, op: 'VarHandleOp', inputs: [], attributes: { ...type, ...attributes } };
}

/** As an input: `node` runs before. */
export const control = (node: string): string => `^${node}`;

/** The first output of a node. */
export const first = ({ name }: GraphNode): string => `${name}:0`;

/** The shape of a node's first output as text, where it is known. */
export const shapeText = (node: GraphNode | undefined): string =>
  String(node?.shape ?? node?.attributes['shape']?.value);

/** The makers of the first outputs of `nodes`. */
export const makersOf = (nodes: readonly GraphNode[]): ReadonlyMap<string, GraphNode> =>
  new Map(nodes.map((node) => [first(node), node]));

/** Who reads an output, or waits for a node, and as which input. */
export type Readers = ReadonlyMap<string, readonly { node: GraphNode; input: number }[]>;

/** The readers of every output of `nodes` that has some. */
export function readersOf(nodes: readonly GraphNode[]): Readers {
  const readers = new Map<string, { node: GraphNode; input: number }[]>();
  for (const node of nodes) {
    node.inputs.forEach((source, input) => {
      const known = readers.get(source);
      if (known) known.push({ node, input });
      else readers.set(source, [{ node, input }]);
    });
  }
  return readers;
}

/**
 * Whether what a node does can be left to one after it: nothing in between waits for it. (An update in place waits for
 * the readers of the old value, and what comes after may read the new one.)
 */
export function waiting(nodes: readonly GraphNode[], readers: Readers): (node: GraphNode, last: GraphNode) => boolean {
  const places = new Map(nodes.map(({ name }, place) => [name, place]));
  const placeOf = ({ name }: GraphNode): number => places.get(name)!;
  return (node, last) =>
    (readers.get(control(node.name)) ?? []).every((reader) => placeOf(reader.node) > placeOf(last));
}

/** `nodes` that wait for others `instead` of those that are no more, or have become another. */
export function redirected(nodes: readonly GraphNode[], instead: ReadonlyMap<string, readonly string[]>): GraphNode[] {
  const by = new Map([...instead].map(([name, others]) => [control(name), others.map(control)]));
  return nodes.map((node) => {
    if (!node.inputs.some((input) => by.has(input))) return node;
    return { ...node, inputs: [...new Set(node.inputs.flatMap((input) => by.get(input) ?? [input]))] };
  });
}

const KINDS = ['string', 'int', 'float', 'bool', 'type', 'shape'] as const;

/** An attribute as tfjs-node hands it to the native binding, as graph attribute. */
export function fromOpAttribute({ type, value }: OpAttribute): AttributeValue {
  return { kind: KINDS[type]!, value } as AttributeValue;
}

/** Where a tensor message keeps single values, by element type. */
const FILL_FIELDS: Partial<Record<number, number>> = { [DataType.float]: 5, [DataType.int32]: 7, [DataType.bool]: 11 };

/** A constant from host values: a single value and a shape where all entries are equal. */
export function constantTensor(shape: readonly number[], dtype: number, values: HostValues): ConstantTensor {
  const first = values[0] ?? 0;
  // NaNs and the sign of a zero are kept as they are
  const fills = FILL_FIELDS[dtype] !== undefined && values.length > 1 && !Number.isNaN(first) && !Object.is(first, -0);
  if (fills && values.every((value) => Object.is(value, first))) return { dtype, shape, content: { fill: first } };
  return { dtype, shape, content: new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice() };
}

function writeShape(message: MessageWriter, shape: readonly number[]): void {
  for (const size of shape) message.message(2, (dim) => dim.varint(1, size));
}

function writeTensor(message: MessageWriter, { dtype, shape, content }: ConstantTensor): void {
  message.varint(1, dtype).message(2, (inner) => writeShape(inner, shape));
  if (content instanceof Uint8Array) message.bytes(4, content);
  else if (dtype === DataType.float) message.packedFloats(5, [content.fill]);
  else message.packedVarints(FILL_FIELDS[dtype]!, [content.fill]);
}

function writeAttribute(message: MessageWriter, attribute: AttributeValue): void {
  const { kind, value } = attribute;
  const many = Array.isArray(value) && kind !== 'shape';
  if (many) message.message(1, (list) => writeList(list, kind, value as readonly number[]));
  else if (kind === 'string') message.string(2, value);
  else if (kind === 'int') message.varint(3, value as number);
  else if (kind === 'float') message.float(4, value as number);
  else if (kind === 'bool') message.varint(5, value as boolean);
  else if (kind === 'type') message.varint(6, value as number);
  else if (kind === 'shape') message.message(7, (shape) => writeShape(shape, value));
  else message.message(8, (tensor) => writeTensor(tensor, value as ConstantTensor));
}

function writeList(list: MessageWriter, kind: AttributeValue['kind'], values: readonly number[]): void {
  if (kind === 'int') list.packedVarints(3, values);
  else if (kind === 'float') list.packedFloats(4, values);
  else if (kind === 'bool') list.packedVarints(5, values);
  else list.packedVarints(6, values);
}

function writeNode(message: MessageWriter, node: GraphNode): void {
  message.string(1, node.name).string(2, node.op);
  for (const input of node.inputs) message.string(3, input);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message.message(5, (entry) => entry.string(1, name).message(2, (value) => writeAttribute(value, attribute)));
  }
}

/** The oldest TensorFlow graph version that has every op used, and the version that wrote the graph. */
const GRAPH_VERSION = { producer: 1882, minConsumer: 12 };

/** A tensor that goes in or comes out of a graph, by the name `node:output`; sides that vary are -1. */
export interface GraphTensor {
  tensor: string;
  dtype: number;
  shape: readonly number[];
}

/** What a graph computes, for those who call it by name. */
export interface Signature {
  inputs: Readonly<Record<string, GraphTensor>>;
  outputs: Readonly<Record<string, GraphTensor>>;
}

/** saved_model.pb with one graph under the tag `serve`. */
export const savedModelBytes = (nodes: readonly GraphNode[]): Uint8Array => Buffer.concat(savedModelParts(nodes));

/** The same in parts, with the signature `serving_default`, so that large weights are not copied once more as a whole. */
export function savedModelParts(nodes: readonly GraphNode[], signature?: Signature): Uint8Array[] {
  const graph = nodes.flatMap((node) => {
    const message = new MessageWriter();
    writeNode(message, node);
    return [new MessageWriter().head(1, message.size).finish(), message.finish()];
  });
  const { producer, minConsumer } = GRAPH_VERSION;
  const versions = new MessageWriter().message(4, (fields) => fields.varint(1, producer).varint(2, minConsumer));
  const info = new MessageWriter().message(1, (fields) => fields.string(4, 'serve'));
  const signatures = new MessageWriter();
  if (signature) {
    signatures.message(5, (entry) =>
      entry.string(1, 'serving_default').message(2, (message) => writeSignature(message, signature)),
    );
  }
  const graphBytes = lengthOf(graph) + versions.size;
  const head = info.head(2, graphBytes).finish();
  const metaGraph = new MessageWriter().varint(1, 1).head(2, head.length + graphBytes + signatures.size);
  return [metaGraph.finish(), head, ...graph, versions.finish(), signatures.finish()];
}

function writeSignature(message: MessageWriter, { inputs, outputs }: Signature): void {
  for (const [field, tensors] of [inputs, outputs].entries()) {
    for (const [key, { tensor, dtype, shape }] of Object.entries(tensors)) {
      message.message(field + 1, (entry) =>
        entry.string(1, key).message(2, (info) =>
          info
            .string(1, tensor)
            .varint(2, dtype)
            .message(3, (sides) => writeShape(sides, shape)),
        ),
      );
    }
  }
  message.string(3, 'tensorflow/serving/predict');
}

export const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, { length }) => sum + length, 0);
