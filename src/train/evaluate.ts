// Evaluation: one pass over a source of batches, each example counted once whatever the size of the last batch.
import type { Program, ProgramOptions } from '../engine/index.js';
import { TrainingError } from '../errors.js';
import type { Module } from '../nn/index.js';
import type { BatchSource } from './batches.js';
import type { InterruptWatch } from './interrupt.js';
import { passOver, withProgram } from './pass.js';
import { evaluateStep, predictStep } from './step.js';

/** Mean loss (nats) and the shares of examples whose label is among the best one and the best five. */
export interface Evaluation {
  loss: number;
  top1: number;
  top5: number;
  examples: number;
}

/** Evaluates `model` on one epoch of `source`. @throws Interrupted */
export async function evaluate(model: Module, source: BatchSource, options: ProgramOptions = {}): Promise<Evaluation> {
  return withProgram('evaluate', evaluateStep(model), options, (program, watch) =>
    runEvaluation(program, source, watch),
  );
}

/** The label and the predicted class of each image of one epoch of `source`, in its order. @throws Interrupted */
export async function predict(
  model: Module,
  source: BatchSource,
  options: ProgramOptions = {},
): Promise<{ labels: Int32Array; predicted: Int32Array }> {
  const [labels, predicted]: [number[], number[]] = [[], []];
  await withProgram('predict', predictStep(model), options, (program, watch) =>
    passOver(program, 'predict', source, watch, (outputs, batch) => {
      labels.push(...batch.labels);
      predicted.push(...outputs['predicted']!.dataSync().subarray(0, batch.labels.length));
    }),
  );
  return { labels: Int32Array.from(labels), predicted: Int32Array.from(predicted) };
}

/** The evaluation by a program's step `evaluate`. @throws Interrupted */
export async function runEvaluation(program: Program, source: BatchSource, watch: InterruptWatch): Promise<Evaluation> {
  const sums = { loss: 0, top1: 0, top5: 0 };
  let examples = 0;
  await passOver(program, 'evaluate', source, watch, (outputs, batch) => {
    for (const key of ['loss', 'top1', 'top5'] as const) sums[key] += outputs[key]!.dataSync()[0]!;
    examples += batch.labels.length;
  });
  if (examples === 0) throw new TrainingError('There is nothing to evaluate: the data gave no batch.');
  return { loss: sums.loss / examples, top1: sums.top1 / examples, top5: sums.top5 / examples, examples };
}
