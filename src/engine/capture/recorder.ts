// The graph that grows with every step that is recorded, and how the run of a step becomes a part of it.
import { CaptureError } from '../../errors.js';
import { tensorflow } from '../backend.js';
import { type Tensor, tf, type Variable } from '../tf.js';
import {
  type AttributeValue,
  type ConstantTensor,
  control,
  DataType,
  type GraphNode,
  typeAttribute,
  variableNode,
} from './graph.js';
import { Outlines } from './outlines.js';
import { type GrowingGraph, RecordingSession, type SessionVariable, type Tensors } from './recordingSession.js';

/** One recorded step: its inputs, outputs and the variables that it changes, as graph names. */
export interface Recording {
  readonly inputs: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
  readonly changed: ReadonlySet<SessionVariable>;
}

interface EngineState {
  state: { registeredVariables: Record<string, Variable> };
}

const registeredVariables = (): Variable[] =>
  Object.values((tf.engine() as unknown as EngineState).state.registeredVariables);

/**
 * Gives variables that share their values (one was assigned a clone of the other) values of their own: a tensor that a
 * step reads must tell which variable it is.
 */
function separate(variables: readonly Variable[]): void {
  const owners = new Set<object>();
  for (const variable of variables) {
    if (owners.has(variable.dataId)) {
      const copy = tf.tensor(variable.dataSync().slice(), variable.shape, variable.dtype);
      variable.assign(copy);
      copy.dispose();
    }
    owners.add(variable.dataId);
  }
}

/** Constants up to this size are shared where their bytes are equal: axes, shapes, scalars. */
const SHARED_CONSTANT_BYTES = 256;

/** A graph that grows with every recorded step, over one set of session variables. */
export class Recorder implements GrowingGraph {
  readonly nodes: GraphNode[] = [];
  readonly variables = new Map<Variable, SessionVariable>();
  private readonly backend = tensorflow();
  readonly outlines = new Outlines(this.backend.binding);
  private readonly constants = new Map<string, string>();

  /**
   * Runs `step(inputs)` once and appends what it did. Variables are as before afterwards, and every tensor that the step
   * made is freed. After an error the graph is as before, too.
   * @throws CaptureError for what cannot be replayed
   */
  record(name: string, step: (inputs: Tensors) => Tensors, inputs: Tensors): Recording {
    this.backend.getInputTensorIds(Object.values(inputs)); // values that wait in JavaScript are made tensors now
    separate(registeredVariables());
    const before = new Map(registeredVariables().map((variable) => [variable, variable.clone()]));
    const known = { nodes: this.nodes.length, variables: this.variables.size, constants: this.constants.size };
    const session = new RecordingSession(this, name, inputs, [...before.keys()]);
    const outputs = new Map<string, string>();
    const changed = new Set<SessionVariable>();
    try {
      session.run(() =>
        tf.tidy(() => {
          const results = step(inputs);
          const assignments = this.assignments(name, session, before, changed);
          for (const [key, tensor] of Object.entries(results)) {
            const source = session.sourceOf(tensor, `output '${key}'`);
            outputs.set(key, this.identity(`${name}/out/${key}`, source, tensor.dtype, assignments));
          }
          if (outputs.size === 0) outputs.set('done', this.marker(`${name}/out/done`, assignments));
        }),
      );
    } catch (error) {
      this.nodes.length = known.nodes;
      keepFirst(this.variables, known.variables);
      keepFirst(this.constants, known.constants);
      throw error;
    } finally {
      for (const [variable, value] of before) {
        if (value.dataId !== variable.dataId) variable.assign(value);
        value.dispose();
      }
    }
    return { inputs: session.placeholders, outputs, changed };
  }

  /** A node that is there once all variables so far are set from their feeds. */
  allSet(): string {
    const sets = [...this.variables.values()].map(({ set }) => set);
    const name = `variables/set_${sets.length}`;
    return this.nodes.some((node) => node.name === name) ? name : this.marker(name, sets);
  }

  /** A scalar that is there once `after` have run. */
  private marker(name: string, after: readonly string[]): string {
    const value: ConstantTensor = { dtype: DataType.float, shape: [], content: new Uint8Array(4) };
    return this.add('Const', after.map(control), constantAttributes(value), name);
  }

  add(
    op: string,
    inputs: string[],
    attributes: Record<string, AttributeValue>,
    name = `n${this.nodes.length}`,
    shape?: readonly number[],
  ): string {
    this.nodes.push({ name, op, inputs, attributes, ...(shape && { shape }) });
    return name;
  }

  constant(value: ConstantTensor): string {
    const { content, dtype, shape } = value;
    const bytes = content instanceof Uint8Array ? content : undefined;
    const key =
      bytes && bytes.length > SHARED_CONSTANT_BYTES
        ? undefined
        : `${dtype}[${shape}]${bytes ? Buffer.from(bytes).toString('latin1') : `=${(content as { fill: number }).fill}`}`;
    const known = key === undefined ? undefined : this.constants.get(key);
    if (known) return known;
    const source = `${this.add('Const', [], constantAttributes(value))}:0`;
    if (key !== undefined) this.constants.set(key, source);
    return source;
  }

  sessionVariable(variable: Variable): SessionVariable {
    const known = this.variables.get(variable);
    if (known) return known;
    const k = this.variables.size;
    const dtype = typeAttribute(this.backend.getDTypeInteger(variable.dtype));
    const shape: AttributeValue = { kind: 'shape', value: variable.shape };
    const handle = `v${k}`;
    this.nodes.push(variableNode(handle, this.backend.getDTypeInteger(variable.dtype), variable.shape));
    const read = this.add('ReadVariableOp', [handle], { dtype }, `v${k}/read`);
    const feed = this.add('Placeholder', [], { dtype, shape }, `v${k}/feed`);
    const set = this.add('AssignVariableOp', [handle, feed], { dtype }, `v${k}/set`);
    const made = { variable, handle, read: `${read}:0`, feed: `${feed}:0`, set };
    this.variables.set(variable, made);
    return made;
  }

  /** Assignment nodes for the variables that the step changed. Each waits for the read of the old value. */
  private assignments(
    name: string,
    session: RecordingSession,
    before: ReadonlyMap<Variable, Tensor>,
    changed: Set<SessionVariable>,
  ): string[] {
    const nodes: string[] = [];
    for (const variable of registeredVariables()) {
      const old = before.get(variable);
      if (!old) {
        throw new CaptureError(
          `'${name}' makes the variable ${variable.name} [${variable.shape}] while it is recorded. Make variables before.`,
        );
      }
      if (old.dataId === variable.dataId) continue;
      const target = this.sessionVariable(variable);
      changed.add(target);
      const update = session.updateOf(variable);
      if (update) {
        nodes.push(update);
        continue;
      }
      const source = session.sourceOf(variable, `the new value of variable ${variable.name}`);
      const dtype = typeAttribute(this.backend.getDTypeInteger(variable.dtype));
      const after = [target.read.slice(0, -2), ...session.updatesOf(variable)].map(control);
      nodes.push(this.add('AssignVariableOp', [target.handle, source, ...after], { dtype }));
    }
    return nodes;
  }

  private identity(name: string, source: string, dtype: string, after: readonly string[]): string {
    const T = typeAttribute(this.backend.getDTypeInteger(dtype));
    return this.add('Identity', [source, ...after.map(control)], { T }, name);
  }
}

/** Deletes all entries but those that were there first. */
function keepFirst<K>(map: Map<K, unknown>, count: number): void {
  for (const key of [...map.keys()].slice(count)) map.delete(key);
}

const constantAttributes = (value: ConstantTensor): Record<string, AttributeValue> => ({
  dtype: typeAttribute(value.dtype),
  value: { kind: 'tensor', value },
});
