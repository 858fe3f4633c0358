// The interrupt guard. A thread that waits inside a script which SIGINT stops (`breakOnSigint`) hears of every SIGINT
// that does not stop a running cell's own script, also while this thread is busy. It tells this thread; if there is no
// answer for long, it stops by force what runs here. The same thread ends the process when its client is gone.
const path = require('node:path');
const { Worker } = require('node:worker_threads');

/** Places in the shared array. */
const SLOTS = { ready: 0, handled: 1, compiling: 2, bell: 3 };
const READY_POLL_MS = 2;
/** Where listeners of SIGINT go, see keepSigint. */
const SIGINT_OF_USERS = 'vitlab:sigint';

class Guard {
  #shared = new Int32Array(new SharedArrayBuffer(4 * Object.keys(SLOTS).length));

  /** Calls `onInterrupt` for every SIGINT that arrives outside of a cell's own script. Resolves when it watches. */
  async start({ connectionFile, onInterrupt }) {
    keepSigint();
    const worker = new Worker(path.join(__dirname, 'guard-thread.cjs'), {
      workerData: { shared: this.#shared, slots: SLOTS, connectionFile },
      stdout: false,
      stderr: false,
    });
    worker.unref();
    worker.on('message', () => {
      Atomics.add(this.#shared, SLOTS.handled, 1);
      process.emit(SIGINT_OF_USERS, 'SIGINT', 2);
      onInterrupt();
    });
    while (Atomics.load(this.#shared, SLOTS.ready) === 0) {
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
  }

  /** While the compiler works nothing is stopped by force: it keeps its state between cells. */
  compiling(work) {
    Atomics.store(this.#shared, SLOTS.compiling, 1);
    try {
      return work();
    } finally {
      Atomics.store(this.#shared, SLOTS.compiling, 0);
    }
  }

  running(work) {
    try {
      return work();
    } catch (error) {
      if (error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') process.emit(SIGINT_OF_USERS, 'SIGINT', 2);
      throw error;
    }
  }
}

/**
 * `process.on('SIGINT')` of other code must not install a signal handler: it would take the signal from the guard, and
 * later leave none, so that the next SIGINT ended the process. Such listeners are kept aside and called at each interrupt.
 */
function keepSigint() {
  const methods = ['on', 'once', 'off', 'addListener', 'removeListener', 'prependListener', 'prependOnceListener'];
  for (const method of [...methods, 'removeAllListeners', 'listeners', 'rawListeners', 'listenerCount']) {
    const original = process[method];
    process[method] = (...args) =>
      Reflect.apply(original, process, args[0] === 'SIGINT' ? [SIGINT_OF_USERS, ...args.slice(1)] : args);
  }
}

module.exports = { Guard };
