// The order of the set-up: what is due, what is missing on this machine, one step after the other. Each step leaves a
// stamp when it is through, so that a second run has nothing to do and a run that was cut off is picked up again.
import path from 'node:path';
import { missing, unwritable } from './checks.mjs';
import { acquireLock } from './lock.mjs';
import { variant } from './machine.mjs';
import { Progress } from './progress.mjs';
import { Runner, StepFailure } from './runner.mjs';
import { dueSteps, emptyTemporary, forget, writeStamp } from './stamps.mjs';
import { stepsFor } from './steps.mjs';

const usage = `Usage: node setup.mjs [--cpu | --gpu | --auto]

Installs what vitlab needs into this folder: node_modules, .venv and .vitlab. Does nothing where all is in place.
  --cpu   TensorFlow for the processor, also where an NVIDIA driver is present
  --gpu   TensorFlow with CUDA (x64 only), also where no NVIDIA driver is present
  --auto  forget an earlier --cpu or --gpu: CUDA where an NVIDIA driver is present`;

/** Runs the set-up of the clone at `root`; returns the exit code: 0 done, 1 a step failed, 2 something is missing. */
export async function main(args, root) {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return 0;
  }
  const unknown = args.filter((arg) => !['--cpu', '--gpu', '--auto'].includes(arg));
  if (unknown.length > 0 || args.length > 1) {
    console.error(`${unknown.length > 0 ? `Unknown option ${unknown[0]}.` : 'Give one option only.'}\n\n${usage}`);
    return 2;
  }
  try {
    return await setUp(root, args[0]?.slice(2));
  } catch (error) {
    if (!(error instanceof StepFailure)) throw error;
    console.error(error.message);
    return 1;
  }
}

async function setUp(root, choice) {
  const readOnly = unwritable(root);
  const steps = stepsFor(root, variant(root, readOnly ? undefined : choice));
  if (dueSteps(root, steps).length === 0) return 0;
  if (readOnly) {
    console.error(readOnly);
    return 2;
  }
  const lock = await acquireLock(path.join(root, '.vitlab', 'setup', 'lock'), (message) => console.log(message));
  const runner = new Runner(root, lock);
  const stop = (signal, code) => () => {
    runner.kill();
    lock.release();
    console.error(`\nThe set-up was stopped by ${signal}; run it again to go on.`);
    process.exit(code);
  };
  const handlers = { SIGINT: stop('SIGINT', 130), SIGTERM: stop('SIGTERM', 143), SIGHUP: stop('SIGHUP', 129) };
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);
  try {
    return await runDue(root, steps, runner);
  } finally {
    for (const [signal, handler] of Object.entries(handlers)) process.off(signal, handler);
    lock.release();
  }
}

// Asks anew what is due, because another set-up may have done the work while this one waited for it.
async function runDue(root, steps, runner) {
  const due = dueSteps(root, steps);
  const lacking = due.length === 0 ? [] : missing(root, due);
  for (const sentence of lacking) console.error(sentence);
  if (lacking.length > 0) return 2;

  emptyTemporary(root);
  for (const step of due) forget(root, step);
  const progress = new Progress(due.length);
  for (const step of due) {
    const made = await progress.during(step.title, (live) => step.run(runner.logging(step.name, live)));
    writeStamp(root, step, made);
  }
  emptyTemporary(root);
  return 0;
}
