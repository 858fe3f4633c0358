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
}

export const typeAttribute = (value: number): AttributeValue => ({ kind: 'type', value });

const KINDS = ['string', 'int', 'float', 'bool', 'type', 'shape'] as const;

/** An attribute as tfjs-node hands it to the native binding, as graph attribute. */
export function fromOpAttribute({ type, value }: OpAttribute): AttributeValue {
  return { kind: KINDS[type]!, value } as AttributeValue;
}

/** Where a tensor message keeps single values, by element type. */
const FILL_FIELDS: Partial<Record<number, number>> = { [DataType.float]: 5, [DataType.int32]: 7, [DataType.bool]: 11 };

/** A constant from host values: a single value and a shape where all entries are equal. */
export function constantTensor(shape: readonly number[], dtype: number, values: HostValues): ConstantTensor {
  const first = values[0];
  const fills = FILL_FIELDS[dtype] !== undefined && values.length > 1 && !Object.is(first, -0);
  if (fills && values.every((value) => value === first)) return { dtype, shape, content: { fill: first! } };
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

/** saved_model.pb with one graph under the tag `serve`. */
export function savedModelBytes(nodes: readonly GraphNode[]): Uint8Array {
  const graph = new MessageWriter();
  for (const node of nodes) graph.message(1, (message) => writeNode(message, node));
  graph.message(4, (versions) => versions.varint(1, GRAPH_VERSION.producer).varint(2, GRAPH_VERSION.minConsumer));
  const metaGraph = new MessageWriter().message(1, (info) => info.string(4, 'serve')).bytes(2, graph.finish());
  return new MessageWriter().varint(1, 1).bytes(2, metaGraph.finish()).finish();
}
