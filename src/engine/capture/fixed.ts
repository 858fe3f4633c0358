// Other forms of variables that no step changes, such as bfloat16 or a transpose. They are made when a variable is set, and
// kept in the session beside it. For rewrites of the recorded graph.
import { control, type GraphNode, typeAttribute, variableNode } from './graph.js';
import type { SessionVariable } from './recordingSession.js';

/** The form of a variable. */
export interface Form {
  /** Names it among the forms of the variable. */
  name: string;
  dtype: number;
  /** -1 for sides that are not known. */
  shape: readonly number[];
  /** What computes it of the variable's value, the one input. */
  op: Pick<GraphNode, 'op' | 'attributes'>;
}

export class FixedForms {
  private readonly byRead: ReadonlyMap<string, SessionVariable>;
  private readonly nodes: GraphNode[] = [];
  /** What else is set when a variable is set, by the node that sets it. */
  private readonly alsoSet = new Map<string, string[]>();
  /** The outputs that read forms, by the names of their variables. */
  private readonly reads = new Map<string, string>();

  constructor(fixed: readonly SessionVariable[]) {
    this.byRead = new Map(fixed.map((variable) => [variable.read, variable]));
  }

  /** The fixed variable that an output reads. */
  of(output: string): SessionVariable | undefined {
    return this.byRead.get(output);
  }

  /** The output that reads a form of a variable. */
  read({ handle, feed, set }: SessionVariable, { name, dtype, shape, op }: Form): string {
    const form = `${handle}/${name}`;
    const known = this.reads.get(form);
    if (known) return known;
    const add = (node: string, rest: Pick<GraphNode, 'op' | 'inputs' | 'attributes'>): string => {
      this.nodes.push({ name: node, ...rest });
      return node;
    };
    const attributes = { dtype: typeAttribute(dtype) };
    this.nodes.push(variableNode(form, dtype, shape));
    const value = `${add(`${form}/value`, { ...op, inputs: [feed] })}:0`;
    const setting = add(`${form}/set`, { op: 'AssignVariableOp', inputs: [form, value], attributes });
    this.alsoSet.set(set, [...(this.alsoSet.get(set) ?? []), setting]);
    const read = `${add(`${form}/read`, { op: 'ReadVariableOp', inputs: [form], attributes })}:0`;
    this.reads.set(form, read);
    return read;
  }

  /** `nodes` and those of the forms, which are set together with their variables. */
  among(nodes: readonly GraphNode[]): GraphNode[] {
    return [...nodes, ...this.nodes].map((node) => {
      const also = this.alsoSet.get(node.name);
      return also ? { ...node, inputs: [...node.inputs, ...also.map(control)] } : node;
    });
  }
}
