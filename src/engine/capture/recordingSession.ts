// Runs a step once and writes down every TensorFlow op that it asks for; what the ops give are tensors without values.
// What cannot be replayed (reading a tensor's data, a tensor from outside, numbers drawn in JavaScript or by stateful ops)
// is refused by name.
import { CaptureError } from '../../errors.js';
import {
  type Binding,
  type HostValues,
  type OpAttribute,
  type TensorflowBackend,
  type TensorHandle,
  tensorflow,
} from '../backend.js';
import type { Tensor, tf, Variable } from '../tf.js';
import {
  type AttributeValue,
  type ConstantTensor,
  constantTensor,
  control,
  DataType,
  fromOpAttribute,
  type GraphNode,
  typeAttribute,
} from './graph.js';
import type { Outline, OutlineInput, Outlines } from './outlines.js';

/** Tensors by name. */
export type Tensors = Record<string, Tensor>;

/** The variable of a session that stands for a `tf.Variable`. Names of its graph nodes. */
export interface SessionVariable {
  readonly variable: Variable;
  /** Node that names the variable. */
  readonly handle: string;
  /** Output that reads it, before any assignment of the same run. */
  readonly read: string;
  /** Placeholder and assignment that set it from outside. */
  readonly feed: string;
  readonly set: string;
}

/** The graph that a recording adds to. Each gives the name of a node or output. */
export interface GrowingGraph {
  readonly nodes: readonly GraphNode[];
  /** What ops give, known from one step to the next. */
  readonly outlines: Outlines;
  add(
    op: string,
    inputs: string[],
    attributes: Record<string, AttributeValue>,
    name?: string,
    shape?: readonly number[],
  ): string;
  constant(value: ConstantTensor): string;
  sessionVariable(variable: Variable): SessionVariable;
}

/** The backend with the methods that a recording replaces. */
type PatchableBackend = TensorflowBackend & {
  move(dataId: object, values: HostValues, shape: number[], dtype: string, refCount: number): void;
  readSync(dataId: object): HostValues;
};

/** Types that tfjs-node leaves to TensorFlow's eager runtime to infer, as the input that has the type. */
const INFERRED_TYPES: Readonly<Record<string, Readonly<Record<string, number>>>> = { ExpandDims: { T: 0, Tdim: 1 } };

/** Ops whose shapes depend on values, which a recording does not have. */
const OPEN_SHAPES = /^(Where|Unique|NonMaxSuppression)/;

let recordingNow: RecordingSession | undefined;

/** The recording that is under way. */
export const currentRecording = (): RecordingSession | undefined => recordingNow;

/** One run of a step over a binding that writes down what passes. */
export class RecordingSession {
  readonly placeholders = new Map<string, string>();
  /** Where the value of a tensor comes from in the graph, by its id. Ids are never given twice. */
  private readonly sources = new Map<number, string>();
  /** Shape and type of tensors, by id. */
  private readonly outlines = new Map<number, Outline>();
  /** Native tensors of the graph's constants. */
  private readonly constants = new Set<number>();
  /** Ids of tensors without values count down from here: tfjs-node frees only what has a positive one. */
  private lastId = -1;
  private readonly variablesById = new Map<number, Variable>();
  /** Tensors whose values were given in JavaScript while recording: constants of the step. */
  private readonly madeInside = new WeakSet<object>();
  /** The node that changed a variable in place last, and the output that reads what it left. */
  private readonly inPlace = new Map<Variable, { update: string; read: string }>();
  /** Nodes of this step by what they compute, so that the same is computed once. */
  private readonly known = new Map<string, string>();
  /** Where this step's nodes begin in the graph. */
  private readonly start: number;
  private readonly backend = tensorflow() as PatchableBackend;
  private readonly binding: Binding = this.backend.binding;

  constructor(
    private readonly recorder: GrowingGraph,
    readonly name: string,
    inputs: Tensors,
    variables: readonly Variable[],
  ) {
    const { backend } = this;
    this.start = recorder.nodes.length;
    for (const [key, tensor] of Object.entries(inputs)) {
      const attributes: Record<string, AttributeValue> = {
        dtype: typeAttribute(backend.getDTypeInteger(tensor.dtype)),
        shape: { kind: 'shape', value: tensor.shape },
      };
      const node = recorder.add('Placeholder', [], attributes, `${name}/in/${key}`);
      this.placeholders.set(key, `${node}:0`);
      this.sources.set(this.idOf(tensor), `${node}:0`);
      this.outlines.set(this.idOf(tensor), this.outlineOf(tensor));
    }
    for (const variable of variables) {
      this.variablesById.set(this.idOf(variable), variable);
      this.outlines.set(this.idOf(variable), this.outlineOf(variable));
    }
  }

  /** Runs `f` with the recording binding in place; everything is put back, also after an error. */
  run(f: () => void): void {
    if (recordingNow) {
      throw new CaptureError(
        `'${this.name}' is run while '${recordingNow.name}' is recorded. Record one step at a time.`,
      );
    }
    recordingNow = this;
    const { backend } = this;
    const random = Math.random;
    const own = { move: backend.move, readSync: backend.readSync, getInputTensorIds: backend.getInputTensorIds };
    backend.binding = Object.create(this.binding, this.recordingCalls());
    backend.move = (dataId, ...rest) => {
      this.madeInside.add(dataId);
      own.move.call(backend, dataId, ...rest);
    };
    backend.readSync = (dataId) => this.refuseReading(dataId);
    backend.getInputTensorIds = (tensors) => {
      for (const tensor of tensors) this.refusePending(tensor);
      return own.getInputTensorIds.call(backend, tensors);
    };
    Math.random = () => {
      throw new CaptureError(
        `'${this.name}' draws a number with Math.random (tf.randomNormal, tf.dropout and others do) while it is recorded; ` +
          'every replay would repeat it. Draw with a RandomKey whose seed is an input of the step.',
      );
    };
    try {
      f();
    } finally {
      Math.random = random;
      Object.assign(backend, own, { binding: this.binding });
      recordingNow = undefined;
    }
  }

  /** The graph output that stands for `tensor`. */
  sourceOf(tensor: Tensor, what: string): string {
    this.refusePending(tensor);
    const [id] = this.backend.getInputTensorIds([tensor]);
    return this.source(id!, what);
  }

  /** Our own versions of the binding's calls. Its properties are read-only, so these are defined over it. */
  private recordingCalls(): PropertyDescriptorMap {
    const { binding, recorder } = this;
    const calls: Pick<Binding, 'createTensor' | 'executeOp' | 'tensorDataSync'> = {
      createTensor: (shape, dtype, values) => {
        const id = binding.createTensor(shape, dtype, values);
        this.isConstant(id, constantTensor(shape, dtype, typed(values, dtype)));
        return id;
      },
      executeOp: (op, attributes, inputs, outputs) => {
        if (attributes.some(({ name }) => name === 'seed2')) {
          throw new CaptureError(
            `'${this.name}' uses ${op}, which keeps its own random state. Draw with a RandomKey whose seed is an input.`,
          );
        }
        if (OPEN_SHAPES.test(op)) {
          throw new CaptureError(
            `'${this.name}' uses ${op}, whose shape depends on values. Use it outside of the step.`,
          );
        }
        const from = inputs.map((id) => this.source(id, `an input of ${op}`));
        const outlines = recorder.outlines.of(
          op,
          attributes,
          inputs.map((id) => this.inputOf(id)),
          outputs,
        );
        const named = Object.fromEntries(attributes.map((a) => [a.name, fromOpAttribute(a)]));
        for (const [attribute, input] of Object.entries(INFERRED_TYPES[op] ?? {})) {
          named[attribute] ??= typeAttribute(this.outlines.get(inputs[input]!)!.dtype);
        }
        const node = this.shared(op, from, named, outlines[0]?.shape);
        return outlines.map((outline, i) => this.stand(outline, `${node}:${i}`));
      },
      tensorDataSync: () => this.refuseReading(),
    };
    return Object.fromEntries(Object.entries(calls).map(([name, value]) => [name, { value }]));
  }

  /**
   * Adds an op that changes `variables` in the session's memory, of which they are the first inputs. It waits for all
   * that reads their old values, so that nobody holds these and the change needs no copy.
   */
  update(op: string, variables: readonly Variable[], inputs: readonly Tensor[], attributes: OpAttribute[]): void {
    const { recorder, backend } = this;
    const from = inputs.map((tensor) => this.sourceOf(tensor, `an input of ${op}`));
    const targets = variables.map((variable) => recorder.sessionVariable(variable));
    const reads = variables.map((variable, i) => this.inPlace.get(variable)?.read ?? targets[i]!.read);
    const readers = new Set(reads.map((read) => read.slice(0, -2)));
    for (const { name, inputs: read } of recorder.nodes.slice(this.start)) {
      if (read.some((input) => reads.includes(input))) readers.add(name);
    }
    const named = Object.fromEntries(attributes.map((a) => [a.name, fromOpAttribute(a)]));
    const handles = targets.map(({ handle }) => handle);
    const update = recorder.add(op, [...handles, ...from, ...[...readers].map(control)], named);
    variables.forEach((variable, i) => {
      const dtype = typeAttribute(backend.getDTypeInteger(variable.dtype));
      const read = `${recorder.add('ReadVariableOp', [handles[i]!, control(update)], { dtype })}:0`;
      this.inPlace.set(variable, { update, read });
      const value = backend.createOutputTensor(this.stand(this.outlineOf(variable), read));
      variable.assign(value);
      value.dispose();
    });
  }

  /** The in-place update that gave a variable its last value, if it was one. */
  updateOf(variable: Variable): string | undefined {
    const last = this.inPlace.get(variable);
    return last && this.sourceOf(variable, 'a variable') === last.read ? last.update : undefined;
  }

  /** In-place updates of a variable so far. */
  updatesOf(variable: Variable): string[] {
    const last = this.inPlace.get(variable);
    return last ? [last.update] : [];
  }

  private shared(
    op: string,
    from: string[],
    attributes: Record<string, AttributeValue>,
    shape: readonly number[] | undefined,
  ): string {
    const key = JSON.stringify([op, from, attributes]);
    const known = this.known.get(key);
    if (known) return known;
    const node = this.recorder.add(op, from, attributes, undefined, shape);
    this.known.set(key, node);
    return node;
  }

  private source(id: number, what: string): string {
    const known = this.sources.get(id);
    if (known) return known;
    const variable = this.variablesById.get(id);
    if (variable) return this.recorder.sessionVariable(variable).read;
    const values = this.binding.tensorDataSync(id);
    if (values.length > 1) {
      throw new CaptureError(
        `'${this.name}' takes a tensor of ${values.length} values from outside as ${what}. ` +
          'Make it an input of the step, a variable, or build it inside.',
      );
    }
    const dtype =
      values instanceof Float32Array ? DataType.float : values instanceof Int32Array ? DataType.int32 : DataType.bool;
    this.isConstant(id, constantTensor([], dtype, values));
    return this.sources.get(id)!;
  }

  private isConstant(id: number, value: ConstantTensor): void {
    this.constants.add(id);
    this.sources.set(id, this.recorder.constant(value));
    this.outlines.set(id, { shape: [...value.shape], dtype: value.dtype });
  }

  /** A tensor without values that stands for an output of the graph. */
  private stand(outline: Outline, source: string): TensorHandle {
    this.lastId -= 1;
    this.sources.set(this.lastId, source);
    this.outlines.set(this.lastId, outline);
    return { id: this.lastId, ...outline };
  }

  private inputOf(id: number): OutlineInput {
    const outline = this.outlines.get(id)!;
    return this.constants.has(id) ? { ...outline, constant: { id, name: this.sources.get(id)! } } : outline;
  }

  private outlineOf({ shape, dtype }: Tensor): Outline {
    return { shape: [...shape], dtype: this.backend.getDTypeInteger(dtype) };
  }

  /** Values that wait in JavaScript are a constant of the step only if they were made in it. */
  private refusePending(tensor: tf.TensorInfo): void {
    if (!this.backend.tensorMap.has(tensor.dataId)) return;
    const { values } = this.backend.tensorMap.get(tensor.dataId);
    if (values === null || values.length <= 1 || this.madeInside.has(tensor.dataId)) return;
    throw new CaptureError(
      `'${this.name}' takes a tensor [${tensor.shape}] that was made outside. ` +
        'Make it an input of the step, a variable, or build it inside.',
    );
  }

  private refuseReading(dataId?: object): HostValues {
    if (dataId && this.madeInside.has(dataId)) {
      const { values } = this.backend.tensorMap.get(dataId);
      if (values !== null) return values;
    }
    throw new CaptureError(
      `'${this.name}' reads a tensor's data while it is recorded; every replay would repeat what it read. ` +
        'Return the tensor from the step and read it there.',
    );
  }

  private idOf(tensor: Tensor): number {
    return this.backend.getInputTensorIds([tensor])[0]!;
  }
}

function typed(values: HostValues | number[], dtype: number): HostValues {
  if (!Array.isArray(values)) return values;
  if (dtype === DataType.int32) return Int32Array.from(values);
  return dtype === DataType.bool ? Uint8Array.from(values) : Float32Array.from(values);
}
