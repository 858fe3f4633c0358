// One graph of two recordings of the same step with batches of different sizes. What is equal in both is taken; sizes
// that are in proportion to the batch are computed of the batch that comes in.
import { CaptureError } from '../../errors.js';
import type { Variable } from '../tf.js';
import { type ConstantTensor, DataType, type GraphNode, typeAttribute } from './graph.js';
import type { Recorder, Recording } from './recorder.js';

/** A step as it was recorded with one size of batch. */
export interface Recorded {
  recorder: Recorder;
  recording: Recording;
  batch: number;
}

interface Side {
  batch: number;
  nodes: ReadonlyMap<string, GraphNode>;
  /** Variables by the output that reads them. */
  reads: ReadonlyMap<string, Variable>;
}

/** A constant's place in both recordings, and the constants there. */
type Pair<T> = readonly [first: T, second: T];

const INPUT = 'images';

/** Builds the graph of one input `images`; variables become constants. */
export class BatchGraph {
  readonly nodes: GraphNode[] = [];
  private readonly sides: Pair<Side>;
  private readonly merged = new Map<string, string>();
  private batchSize: string | undefined;

  /**
   * @param recorded the step with two sizes of batch, or one of them twice for a graph of that size
   * @param inputShape of the input, -1 where it varies
   * @param nameOf what the constant of a variable is called
   */
  constructor(
    recorded: Pair<Recorded>,
    inputShape: readonly number[],
    private readonly nameOf: (variable: Variable) => string,
  ) {
    this.sides = [side(recorded[0]), side(recorded[1])];
    const shape = { kind: 'shape', value: inputShape } as const;
    this.add('Placeholder', [], { dtype: typeAttribute(DataType.float), shape }, INPUT);
  }

  /** Adds what computes an output, and calls it `name`. @throws CaptureError where the recordings cannot be one graph */
  output(name: string, nodes: Pair<string>, dtype: number): void {
    const source = this.merge([`${nodes[0]}:0`, `${nodes[1]}:0`]);
    this.add('Identity', [source], { T: typeAttribute(dtype) }, name);
  }

  /** The output here that stands for an output of each recording. */
  private merge(sources: Pair<string>): string {
    const [first, second] = this.sides.map(({ reads }, i) => reads.get(sources[i]!));
    if (first && first === second) return this.weight(first);
    const places = sources.map((source) => source.split(':')) as [string[], string[]];
    const [one, other] = this.sides.map(({ nodes }, i) => nodes.get(places[i]![0]!)!) as [GraphNode, GraphNode];
    if (one.op === 'Placeholder' && other.op === 'Placeholder') return `${INPUT}:0`;
    const key = `${one.name}|${other.name}`;
    let name = this.merged.get(key);
    if (name === undefined) {
      name = one.op === 'Const' && other.op === 'Const' ? this.constants(one, other) : this.operation(one, other);
      this.merged.set(key, name);
    }
    return `${name}:${places[0]![1]}`;
  }

  private operation(one: GraphNode, other: GraphNode): string {
    const settings = ({ op, inputs, attributes }: GraphNode) => JSON.stringify([op, inputs.length, attributes]);
    if (settings(one) !== settings(other)) throw this.refusal(one.op, other.op);
    const inputs = one.inputs.map((input, i) => this.merge([input, other.inputs[i]!]));
    return this.add(one.op, inputs, one.attributes);
  }

  private weight(variable: Variable): string {
    const name = this.nameOf(variable);
    if (this.merged.has(name)) return `${name}:0`;
    const { buffer, byteOffset, byteLength } = variable.dataSync();
    const content = new Uint8Array(buffer, byteOffset, byteLength);
    const dtype = variable.dtype === 'float32' ? DataType.float : DataType.int32;
    this.merged.set(name, this.constant({ dtype, shape: variable.shape, content }, name));
    return `${name}:0`;
  }

  private constants(one: GraphNode, other: GraphNode): string {
    const [a, b] = [constantOf(one), constantOf(other)];
    if (equal(a, b)) return this.constant(a);
    if (sameFill(a, b)) return this.filled(a, b);
    if (a.dtype !== DataType.int32 || a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) {
      throw this.refusal(`a constant [${a.shape}]`, `[${b.shape}]`);
    }
    return this.sizes(integers(a), integers(b), a.shape);
  }

  /** One value in a shape that depends on the batch. */
  private filled(a: ConstantTensor, b: ConstantTensor): string {
    const shape = this.sizes(Int32Array.from(a.shape), Int32Array.from(b.shape), [a.shape.length]);
    const value = this.constant({ ...a, shape: [] });
    const attributes = { T: typeAttribute(a.dtype), index_type: typeAttribute(DataType.int32) };
    return this.add('Fill', [`${shape}:0`, `${value}:0`], attributes);
  }

  /** Whole numbers, of which some are in proportion to the batch: fixed + factor · batch. */
  private sizes(ones: Int32Array, others: Int32Array, shape: readonly number[]): string {
    const [first, second] = this.sides;
    const factors = ones.map((one, i) => (one === others[i] ? 0 : one / first.batch));
    const exact = factors.every(
      (factor, i) => factor === 0 || (factor * first.batch === ones[i] && factor * second.batch === others[i]),
    );
    if (!exact) throw this.refusal(`the numbers ${[...ones].join()}`, [...others].join());
    const list = (values: Int32Array) =>
      this.constant({ dtype: DataType.int32, shape, content: new Uint8Array(values.buffer) });
    const T = typeAttribute(DataType.int32);
    const scaled = this.add('Mul', [`${list(factors)}:0`, this.batch()], { T });
    return this.add('AddV2', [`${list(ones.map((one, i) => (factors[i] === 0 ? one : 0)))}:0`, `${scaled}:0`], { T });
  }

  /** The number of images that come in, a scalar. */
  private batch(): string {
    if (this.batchSize) return this.batchSize;
    const int = typeAttribute(DataType.int32);
    const scalar = (value: number): string => {
      const content = new Uint8Array(Int32Array.of(value).buffer);
      return `${this.constant({ dtype: DataType.int32, shape: [], content })}:0`;
    };
    const shape = this.add('Shape', [`${INPUT}:0`], { T: typeAttribute(DataType.float), out_type: int });
    const types = { Tparams: int, Tindices: int, Taxis: int };
    this.batchSize = `${this.add('GatherV2', [`${shape}:0`, scalar(0), scalar(0)], types)}:0`;
    return this.batchSize;
  }

  private constant(value: ConstantTensor, name?: string): string {
    return this.add('Const', [], { dtype: typeAttribute(value.dtype), value: { kind: 'tensor', value } }, name);
  }

  private add(
    op: string,
    inputs: string[],
    attributes: GraphNode['attributes'],
    name = `n${this.nodes.length}`,
  ): string {
    this.nodes.push({ name, op, inputs, attributes });
    return name;
  }

  private refusal(one: string, other: string): CaptureError {
    const [{ batch: first }, { batch: second }] = this.sides;
    return new CaptureError(
      `The model computes differently for batches of ${first} and ${second} images: ${one} against ${other}. ` +
        'Export it for a batch of one size: inputShape [batch, height, width, channels].',
    );
  }
}

function side({ recorder, batch }: Recorded): Side {
  return {
    batch,
    nodes: new Map(recorder.nodes.map((node) => [node.name, node])),
    reads: new Map([...recorder.variables.values()].map(({ read, variable }) => [read, variable])),
  };
}

const constantOf = ({ attributes }: GraphNode): ConstantTensor => attributes['value']!.value as ConstantTensor;

function equal(a: ConstantTensor, b: ConstantTensor): boolean {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  if (!(a.content instanceof Uint8Array))
    return !(b.content instanceof Uint8Array) && a.content.fill === b.content.fill;
  return b.content instanceof Uint8Array && Buffer.compare(a.content, b.content) === 0;
}

function sameFill(a: ConstantTensor, b: ConstantTensor): boolean {
  if (a.content instanceof Uint8Array || b.content instanceof Uint8Array) return false;
  return a.dtype === b.dtype && a.content.fill === b.content.fill && a.shape.length === b.shape.length;
}

function integers({ shape, content }: ConstantTensor): Int32Array {
  if (content instanceof Uint8Array) return new Int32Array(content.slice().buffer);
  return new Int32Array(shape.reduce((count, size) => count * size, 1)).fill(content.fill);
}
