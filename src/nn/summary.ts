// What a model consists of: its layers in the order in which a pass leaves them, with shapes, parameters and
// multiply-accumulates, measured in a dry run.
import { runDry, type Tensor, tf, withPortableOps } from '../engine/index.js';
import { CaptureError } from '../errors.js';
import { ForwardContext } from './context.js';
import type { Module } from './module.js';
import { Parameter } from './parameter.js';

/** One layer: a module below the model. */
export interface SummaryRow {
  /** Its place in the model, such as `blocks.0.attn.qkv`. */
  name: string;
  type: string;
  /** Of the last call; undefined where the pass does not go through it. */
  inputShape: number[] | undefined;
  outputShape: number[] | undefined;
  /** Parameters that it holds itself, without those of its children. */
  parameters: number;
  trainable: number;
  /** Multiply-accumulates of its own matrix products and convolutions, over all calls. */
  multiplyAccumulates: number;
}

export interface ModelSummary {
  model: string;
  inputShape: number[];
  outputShape: number[];
  rows: SummaryRow[];
  /** All parameters. */
  parameters: number;
  trainable: number;
  /**
   * The parameters of the layers, which is what summaries by layer (PaddlePaddle's, for one) give as the total: what
   * the model holds itself, such as a class token or position embedding, is left out.
   */
  inLayers: number;
  /** The names of what the model holds itself. */
  heldByModel: string[];
  /** Of the whole pass. */
  multiplyAccumulates: number;
  /** Numbers in the outputs of all layers. */
  outputs: number;
}

type Shape = readonly number[];

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Multiply-accumulates of a kernel by its output and inputs; none for what is no matrix product or convolution. */
const COUNT: Record<string, (output: Shape, inputs: Record<string, Shape>) => number> = {
  BatchMatMul: (output, { a }) => sizeOf(a!) * output.at(-1)!,
  _FusedMatMul: (output, { a }) => sizeOf(a!) * output.at(-1)!,
  Conv2D: (output, { filter }) => sizeOf(output) * sizeOf(filter!.slice(0, 3)),
  DepthwiseConv2dNative: (output, { filter }) => sizeOf(output) * sizeOf(filter!.slice(0, 2)),
};

/** What happens in a pass: calls of `forward` with their shapes, and the work of each module itself. */
class Trace {
  readonly calls = new Map<Module, { input: number[]; output: number[] }>();
  readonly work = new Map<Module, number>();
  private readonly open: Module[] = [];

  /** Runs `pass` while every module of `modules` and every kernel reports here. */
  run(modules: readonly Module[], pass: () => void): void {
    const engine = tf.engine();
    const runKernel = engine.runKernel;
    engine.runKernel = ((name: string, inputs: tf.NamedTensorMap, attributes?: tf.NamedAttrMap) => {
      const output = runKernel.call(engine, name, inputs, attributes) as Tensor;
      this.count(name, output, inputs);
      return output;
    }) as typeof runKernel;
    for (const module of modules) this.watch(module);
    try {
      pass();
    } finally {
      for (const module of modules) delete (module as Partial<Module>).forward;
      delete (engine as Partial<typeof engine>).runKernel;
    }
  }

  private watch(module: Module): void {
    const forward = module.forward;
    module.forward = (x: Tensor, ...rest: [ForwardContext?]) => {
      this.open.push(module);
      const y = forward.call(module, x, ...rest);
      this.open.pop();
      this.calls.delete(module);
      this.calls.set(module, { input: [...x.shape], output: [...y.shape] });
      return y;
    };
  }

  private count(kernel: string, output: Tensor, inputs: tf.NamedTensorMap): void {
    const module = this.open.at(-1);
    const count = COUNT[kernel];
    if (!module || !count) return;
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
    this.work.set(module, (this.work.get(module) ?? 0) + count(output.shape, shapes));
  }
}

/**
 * Looks at a model by a dry run, outside training, on an input of `inputShape` (with the batch: `[1, 32, 32, 3]`). The
 * tensorflow engine computes nothing for it, unless the pass looks at values; then, and on other engines, the input is
 * zeros, and so are parameters without values.
 */
export function summary(model: Module, inputShape: readonly number[]): ModelSummary {
  const names = new Map([...model.namedModules()].map(([name, module]) => [module, name]));
  const trace = traceOf(model, inputShape);
  const called = [...trace.calls.keys()].filter((module) => module !== model);
  const skipped = [...names.keys()].filter((module) => !trace.calls.has(module) && ownParameters(module).length > 0);
  const rows = [...called, ...skipped].map((module) => rowOf(module, names.get(module)!, trace));
  const all = [...model.namedParameters()].map(([, parameter]) => parameter);
  return {
    model: model.constructor.name,
    inputShape: [...inputShape],
    outputShape: trace.calls.get(model)!.output,
    rows,
    parameters: count(all),
    trainable: count(all.filter(({ trainable }) => trainable)),
    inLayers: rows.reduce((sum, row) => sum + row.parameters, 0),
    heldByModel: [...model.namedParameters()]
      .filter(([, own]) => ownParameters(model).includes(own))
      .map(([name]) => name),
    multiplyAccumulates: [...trace.work.values()].reduce((sum, work) => sum + work, 0),
    outputs: rows.reduce((sum, { outputShape }) => sum + (outputShape ? sizeOf(outputShape) : 0), 0),
  };
}

function traceOf(model: Module, inputShape: Shape): Trace {
  const modules = [...model.namedModules()].map(([, module]) => module);
  const pass = (): Trace => {
    const trace = new Trace();
    // of ordinary ops, whose work is known
    withPortableOps(() => withValues(model, () => tf.tidy(() => trace.run(modules, () => forward(model, inputShape)))));
    return trace;
  };
  const variables = storedIn(model).flatMap((entry) => (entry.initialized ? [entry.value] : []));
  try {
    return runDry(`the summary of ${model.constructor.name}`, variables, pass);
  } catch (error) {
    if (error instanceof CaptureError) return pass();
    throw error;
  }
}

function forward(model: Module, inputShape: Shape): void {
  const modes = [...model.namedModules()].map(([, module]) => [module, module.training] as const);
  model.eval();
  try {
    model.forward(zeros(inputShape), new ForwardContext());
  } finally {
    for (const [module, training] of modes) module.training = training;
  }
}

/** Runs `use` while everything in the model has a value. */
function withValues(model: Module, use: () => void): void {
  const empty = storedIn(model).filter(({ initialized }) => !initialized);
  try {
    for (const entry of empty) entry.set(zeros(entry.shape));
    use();
  } finally {
    for (const entry of empty) entry.dispose();
  }
}

const storedIn = (model: Module) => [...model.namedParameters(), ...model.namedBuffers()].map(([, entry]) => entry);

/** Made by an op: `tf.zeros` would hold its values in JavaScript. */
const zeros = (shape: Shape): Tensor => tf.fill([...shape], 0);

const count = (parameters: readonly Parameter[]): number => parameters.reduce((sum, { size }) => sum + size, 0);

const ownParameters = (module: Module): Parameter[] =>
  Object.values(module)
    .flatMap((value: unknown) => (isCollection(value) ? Object.values(value) : [value]))
    .filter((value): value is Parameter => value instanceof Parameter);

const isCollection = (value: unknown): value is object =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype);

function rowOf(module: Module, name: string, trace: Trace): SummaryRow {
  const own = ownParameters(module);
  const call = trace.calls.get(module);
  return {
    name,
    type: module.constructor.name,
    inputShape: call?.input,
    outputShape: call?.output,
    parameters: count(own),
    trainable: count(own.filter(({ trainable }) => trainable)),
    multiplyAccumulates: trace.work.get(module) ?? 0,
  };
}

const MIB = 2 ** 20;
const grouped = (value: number): string => value.toLocaleString('en-US');
const megabytes = (numbers: number): string => `${((4 * numbers) / MIB).toFixed(2)} MB`;
const shapeText = (shape: Shape | undefined): string => (shape ? `[${shape.join(', ')}]` : 'not called');

/** The summary as a table and totals, for people. MB are 2²⁰ bytes of float32. */
export function formatSummary(summary: ModelSummary): string {
  const head = ['Layer', 'Type', 'Input', 'Output', 'Parameters', 'Mult-adds'];
  const lines = summary.rows.map((row) => [
    row.name,
    row.type,
    shapeText(row.inputShape),
    shapeText(row.outputShape),
    grouped(row.parameters),
    grouped(row.multiplyAccumulates),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]!.length)));
  const draw = (line: readonly string[]): string =>
    line.map((cell, i) => (i < 4 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  const rule = '─'.repeat(widths.reduce((a, b) => a + b + 2, -2));
  return [draw(head), rule, ...lines.map(draw), rule, ...totals(summary)].join('\n');
}

function totals(summary: ModelSummary): string[] {
  const { parameters, trainable, inLayers, heldByModel, multiplyAccumulates, outputs, inputShape } = summary;
  const held = heldByModel.length > 0 ? ` (${heldByModel.join(', ')})` : '';
  const share = parameters > 0 ? (100 * trainable) / parameters : 0;
  return [
    `Parameters: ${grouped(parameters)}, ${megabytes(parameters)}`,
    `  in the layers above: ${grouped(inLayers)}, ${megabytes(inLayers)} (what a summary by layer calls the total)`,
    `  held by the model itself: ${grouped(parameters - inLayers)}${held}`,
    `Trainable: ${grouped(trainable)}, ${megabytes(trainable)}, ${share.toFixed(3)} %; frozen: ${grouped(parameters - trainable)}`,
    `Mult-adds of the pass: ${grouped(multiplyAccumulates)}`,
    `Input: ${megabytes(sizeOf(inputShape))}; outputs of all layers: ${megabytes(outputs)}`,
  ];
}
