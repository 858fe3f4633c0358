// A program: steps over shared variables, each recorded once and replayed as one native call.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CaptureError, nearest, UsageError } from '../../errors.js';
import { isTensorflow, tensorflow } from '../backend.js';
import { type Tensor, tf } from '../tf.js';
import { autocast } from './autocast.js';
import { savedModelBytes } from './graph.js';
import { fastProducts } from './products.js';
import { Recorder, type Recording } from './recorder.js';
import type { Tensors } from './recordingSession.js';

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

/**
 * Steps over shared variables.
 *
 * On TensorFlow a step is recorded the first time it meets inputs of some shapes, and from then on replayed: one native
 * call that TensorFlow's graph optimiser has fused and scheduled. The variables then live in the session: `pull()` brings
 * them back into the `tf.Variable`s, `push()` sends changed ones in. On other engines, and with `mode: 'eager'`, the same
 * calls run the step eagerly, and `pull` and `push` do nothing.
 */
export class Program {
  readonly precision: 'fp32' | 'bf16';
  readonly mode: 'replay' | 'eager';
  private readonly steps = new Map<string, Step>();
  private readonly recordings = new Map<string, Recording>();
  private recorder: Recorder | undefined;
  private session: number | undefined;
  /** Session variables that hold a value in the session that runs. */
  private loaded = 0;

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

  /** Brings the variables that steps change from the session into their `tf.Variable`s. */
  pull(): void {
    if (this.session === undefined) return;
    const changed = new Set([...this.recordings.values()].flatMap((recording) => [...recording.changed]));
    const known = [...this.recorder!.variables.values()].slice(0, this.loaded).filter((v) => changed.has(v));
    if (known.length === 0) return;
    const { binding } = tensorflow();
    const handles = binding.runSavedModel(this.session, [], '', known.map(({ read }) => read).join());
    known.forEach(({ variable }, i) => {
      const value = tensorflow().createOutputTensor(handles[i]!);
      variable.assign(value);
      value.dispose();
    });
  }

  /** Sends the values of the `tf.Variable`s into the session. */
  push(): void {
    if (this.session === undefined || this.loaded === 0) return;
    const backend = tensorflow();
    const known = [...this.recorder!.variables.values()];
    const ids = backend.getInputTensorIds(known.map(({ variable }) => variable));
    const feeds = known.map(({ feed }) => feed).join();
    const [done] = backend.binding.runSavedModel(this.session, ids, feeds, `${allSet(this.loaded)}:0`);
    backend.binding.deleteTensor(done!.id);
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

  /** Frees the session. Values that were not pulled are lost. */
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
    this.pull();
    this.close();
    this.recorder ??= new Recorder();
    const recording = this.recorder.record(`s${this.recordings.size}_${name}`, step, inputs);
    this.recordings.set(key, recording);
    return recording;
  }

  private replay(recording: Recording, inputs: Tensors): Tensors {
    if (this.session === undefined) this.load();
    const backend = tensorflow();
    const given = [...recording.inputs.keys()].map((key) => inputs[key]!);
    const feeds = [...recording.inputs.values()].join();
    const fetches = [...recording.outputs.values()].map((node) => `${node}:0`).join();
    const handles = backend.binding.runSavedModel(this.session!, backend.getInputTensorIds(given), feeds, fetches);
    const outputs: Tensors = {};
    [...recording.outputs.keys()].forEach((key, i) => {
      outputs[key] = backend.createOutputTensor(handles[i]!);
    });
    return outputs;
  }

  private graphBytes(): Uint8Array {
    const { nodes } = this.recorder!;
    return savedModelBytes(this.precision === 'bf16' ? autocast(nodes) : fastProducts(nodes));
  }

  /** Writes the graph, loads it as a session and sends all variables in. */
  private load(): void {
    const recorder = this.recorder!;
    const variables = [...recorder.variables.values()];
    if (variables.length > this.loaded) {
      this.loaded = variables.length;
      recorder.marker(
        allSet(this.loaded),
        variables.map(({ set }) => set),
      );
    }
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-graph-'));
    try {
      fs.writeFileSync(path.join(folder, 'saved_model.pb'), this.graphBytes());
      this.session = tensorflow().binding.loadSavedModel(folder, 'serve');
    } catch (error) {
      throw new CaptureError(`TensorFlow refused the recorded graph: ${(error as Error).message}`, { cause: error });
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
    this.push();
  }

  private close(): void {
    if (this.session === undefined) return;
    tensorflow().binding.deleteSavedModel(this.session);
    this.session = undefined;
  }
}

/** The node that is there once the first `count` variables are set. */
const allSet = (count: number): string => `variables/set_${count}`;

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
