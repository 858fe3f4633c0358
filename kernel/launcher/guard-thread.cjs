// The thread of the interrupt guard, see guard.cjs.
const fs = require('node:fs');
const vm = require('node:vm');
const { Session } = require('node:inspector');
const { parentPort, workerData } = require('node:worker_threads');

const { shared, slots, connectionFile } = workerData;
const LOOK_MS = 250;
/** Without an answer, what runs is stopped by force after this time; after a second SIGINT already after the shorter one. */
const PATIENCE_MS = 5000;
const IMPATIENCE_MS = 1000;
const TERMINATE_MS = 3000;

const parent = process.ppid;
const declaredParent = Number(process.env.JPY_PARENT_PID);
let sent = 0;
let firstAt = 0;

/** Whether the process that started this kernel is gone. A client that died before this thread began is known by the
 * process id that Jupyter clients leave in the environment. */
function orphaned() {
  if (process.ppid !== parent) return true;
  return parent === 1 && declaredParent > 1 && !alive(declaredParent);
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function endProcess() {
  fs.rmSync(connectionFile, { force: true });
  // SIGTERM first: a trainer may want to leave a checkpoint.
  process.kill(process.pid, 'SIGTERM');
  Atomics.wait(shared, slots.bell, 0, TERMINATE_MS);
  process.kill(process.pid, 'SIGKILL');
}

function stopByForce() {
  const session = new Session();
  session.connectToMainThread();
  session.post('Runtime.terminateExecution');
  firstAt = Date.now();
}

function watch() {
  for (;;) {
    Atomics.wait(shared, slots.bell, 0, LOOK_MS);
    if (orphaned()) endProcess();
    const unanswered = sent - Atomics.load(shared, slots.handled);
    if (unanswered === 0 || Atomics.load(shared, slots.compiling) === 1) continue;
    if (Date.now() - firstAt > (unanswered > 1 ? IMPATIENCE_MS : PATIENCE_MS)) stopByForce();
  }
}

function report() {
  if (sent === Atomics.load(shared, slots.handled)) firstAt = Date.now();
  sent++;
  parentPort.postMessage('interrupt');
}

globalThis.watch = () => {
  Atomics.store(shared, slots.ready, 1);
  watch();
};
const inner = new vm.Script('watch()');
globalThis.keepWatching = () => {
  for (;;) {
    try {
      inner.runInThisContext({ breakOnSigint: true });
    } catch {
      report();
    }
  }
};
// Two scripts, one in the other: while the inner one begins anew, the outer one keeps the signal from ending the process.
const outer = new vm.Script('keepWatching()');
for (;;) {
  try {
    outer.runInThisContext({ breakOnSigint: true });
  } catch {
    report();
  }
}
