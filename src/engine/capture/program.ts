// A program: steps over shared variables, each recorded once and replayed as one native call.
import { nearest, UsageError } from '../../errors.js';
import { isTensorflow, tensorflow } from '../backend.js';
import { type Tensor, tf } from '../tf.js';
import { autocast } from './autocast.js';
import { biasesInside } from './biases.js';
import { savedModelBytes } from './graph.js';
import { ownHalfProducts } from './halfProducts.js';
import { fastProducts } from './products.js';
import { Recorder, type Recording } from './recorder.js';
import type { Tensors } from './recordingSession.js';
import { openSession, type Session } from './sessions.js';
import { SessionValues } from './sessionValues.js';

/** Inputs of a step; a number is a float32 scalar. */
export type StepInputs = Record<string, Tensor | number>;

/** A step: named tensors in, named tensors out; may assign variables. Run with `tf.tidy` around it. */
export type Step = (inputs: Tensors) => Tensors;

export interface ProgramOptions {
  /** `bf16`: matrix products and convolutions in bfloat16 (replay only). */
  precision?: 'fp32' | 'bf16';
  /** `replay` (the default on TensorFlow) or `eager` (the only one elsewhere). */
  mode?: 'replay' | 'eager';
}

/** What TensorFlow keeps of a node in its optimised forms: 28 MB for the 3,500 nodes of a ViT-Ti's training. */
const NODE_BYTES = 8192;

/**
 * Steps over shared variables.
 *
 * On TensorFlow a step is recorded the first time it meets inputs of some shapes, and from then on replayed: one native
 * call that TensorFlow's graph optimiser has fused and scheduled. The variables then live in the session; a `tf.Variable`
 * that is read or assigned outside is brought up to date by itself. On other engines, and with `mode: 'eager'`, the same
 * calls run the step eagerly.
 */
export class Program {
  readonly precision: 'fp32' | 'bf16';
  readonly mode: 'replay' | 'eager';
  private readonly steps = new Map<string, Step>();
  private readonly recordings = new Map<string, Recording>();
  private recorder: Recorder | undefined;
  private loaded: { session: Session; values: SessionValues } | undefined;

  /** @throws UsageError where bf16 or replay is asked of an engine that cannot */
  constructor({ precision = 'fp32', mode = isTensorflow() ? 'replay' : 'eager' }: ProgramOptions = {}) {
    if (mode === 'replay' && !isTensorflow()) {
      throw new UsageError(`Replay needs the tensorflow engine, but ${tf.getBackend()} is active.`);
    }
    if (precision === 'bf16' && mode === 'eager') {
      throw new UsageError('bf16 is a rewrite of the recorded graph, so it needs replay on the tensorflow engine.');
    }
    this.precision = precision;
    this.mode = mode;
  }

  /** Adds a step. */
  define(name: string, step: Step): this {
    if (this.steps.has(name)) throw new UsageError(`The program has a step '${name}' already.`);
    this.steps.set(name, step);
    return this;
  }

  /**
   * Runs a step and gives its outputs, which the caller disposes of.
   * @throws UsageError for an unknown step; CaptureError where the step cannot be recorded
   */
  run(name: string, inputs: StepInputs): Tensors {
    const { tensors, owned } = asTensors(inputs);
    try {
      if (this.mode === 'eager') return tf.tidy(() => keepInputs(this.step(name)(tensors), tensors));
      return this.replay(this.recordingOf(name, tensors), tensors);
    } finally {
      tf.dispose(owned);
    }
  }

  /** Records a step without running it, so that several are loaded at once. */
  prepare(name: string, inputs: StepInputs): void {
    if (this.mode === 'eager') return;
    const { tensors, owned } = asTensors(inputs);
    try {
      this.recordingOf(name, tensors);
    } finally {
      tf.dispose(owned);
    }
  }

  /** Bytes of the graph, and how many operations and variables it has. For reports. */
  size(): { operations: number; variables: number; bytes: number } {
    const nodes = this.recorder?.nodes ?? [];
    return {
      operations: nodes.length,
      variables: this.recorder?.variables.size ?? 0,
      bytes: nodes.length > 0 ? this.graphBytes().length : 0,
    };
  }

  /** The kinds of the recorded operations, before TensorFlow's optimiser. For reports and tests. */
  operations(): string[] {
    return (this.recorder?.nodes ?? []).map(({ op }) => op);
  }

  /** Closes the session. The variables keep their values. */
  dispose(): void {
    this.close();
    this.recordings.clear();
    this.recorder = undefined;
  }

  private step(name: string): Step {
    const step = this.steps.get(name);
    if (step) return step;
    const guess = nearest(name, this.steps.keys());
    throw new UsageError(
      `The program has no step '${name}'; it has ${[...this.steps.keys()].join(', ') || 'none'}.${guess ? ` Did you mean ${guess}?` : ''}`,
    );
  }

  private recordingOf(name: string, inputs: Tensors): Recording {
    const key = `${name}(${Object.entries(inputs).map(([input, t]) => `${input}:${t.dtype}[${t.shape}]`)})`;
    const known = this.recordings.get(key);
    if (known) return known;
    const step = this.step(name);
    this.close();
    this.recorder ??= new Recorder();
    const recording = this.recorder.record(`s${this.recordings.size}_${name}`, step, inputs);
    this.recordings.set(key, recording);
    return recording;
  }

  private replay(recording: Recording, inputs: Tensors): Tensors {
    this.loaded ??= this.load();
    const { session, values } = this.loaded;
    values.ready(recording.changed);
    const backend = tensorflow();
    const given = [...recording.inputs.keys()].map((key) => inputs[key]!);
    const feeds = [...recording.inputs.values()].join();
    const fetches = [...recording.outputs.values()].map((node) => `${node}:0`).join();
    const handles = backend.binding.runSavedModel(session.id, backend.getInputTensorIds(given), feeds, fetches);
    const outputs: Tensors = {};
    [...recording.outputs.keys()].forEach((key, i) => {
      outputs[key] = backend.createOutputTensor(handles[i]!);
    });
    return outputs;
  }

  private graphBytes(): Uint8Array {
    const { nodes, variables } = this.recorder!;
    const changed = new Set([...this.recordings.values()].flatMap((recording) => [...recording.changed]));
    const fixed = [...variables.values()].filter((variable) => !changed.has(variable));
    if (this.precision === 'fp32') return savedModelBytes(fastProducts(nodes, fixed));
    return savedModelBytes(autocast(biasesInside(ownHalfProducts(nodes)), fixed));
  }

  /** The graph as a session of this program's own. */
  private load(): { session: Session; values: SessionValues } {
    const recorder = this.recorder!;
    const variables = [...recorder.variables.values()];
    const allSet = recorder.allSet();
    const values = variables.reduce((sum, { variable }) => sum + 4 * variable.size, 0);
    const session = openSession(this.graphBytes(), values + NODE_BYTES * recorder.nodes.length);
    return { session, values: new SessionValues(session.id, variables, allSet) };
  }

  private close(): void {
    this.loaded?.values.giveBack();
    this.loaded?.session.close();
    this.loaded = undefined;
  }
}

function asTensors(inputs: StepInputs): { tensors: Tensors; owned: Tensor[] } {
  const owned: Tensor[] = [];
  const tensors: Tensors = {};
  for (const [key, value] of Object.entries(inputs)) {
    if (typeof value !== 'number') tensors[key] = value;
    else {
      tensors[key] = tf.scalar(value, 'float32');
      owned.push(tensors[key]!);
    }
  }
  return { tensors, owned };
}

/** An output that is an input is returned as a copy, so that each can be disposed of by itself. */
function keepInputs(outputs: Tensors, inputs: Tensors): Tensors {
  const given = new Set(Object.values(inputs));
  return Object.fromEntries(
    Object.entries(outputs).map(([key, tensor]) => [key, given.has(tensor) ? tensor.clone() : tensor]),
  );
}
