// Runs cells: compiles them, runs them one at a time, and settles each one exactly once, by its own end, an interrupt,
// or an error that escaped from it (a rejection nobody handles, a throw in a timer).
const vm = require('node:vm');
const { tslabRequire } = require('./compiler.cjs');
const { describeThrown } = require('./stacks.cjs');

const { getCodeMetadata } = tslabRequire('./dist/metadata.js');

/** tslab puts one line before the code of a cell. */
const LINES_BEFORE = 1;
/** How long nothing may have run before the compiler catches up. */
const IDLE_MS = 1000;
/** How long an interrupted cell that listens to INTERRUPT may take to come to its end. */
const LISTENER_MS = 10_000;
const INTERRUPT = 'vitlab:interrupt';

const ENTER = Symbol.for('vitlab.kernel.enter');
// Code that runs below this script is stopped by SIGINT, whatever it does.
const enterScript = new vm.Script(`globalThis[Symbol.for('vitlab.kernel.enter')]()`, { filename: 'node:vm' });

class Executor {
  #compiler;
  #modules;
  #maps;
  #guard;
  #exports = cellExports();
  #declarations = '';
  #running;
  #left = [];
  #lastLabel;
  #watched;
  #idle;

  /**
   * `guard.compiling(f)` and `guard.running(f)` run f under the watch of the interrupt guard; `watched`: somebody may
   * ask for completions.
   */
  constructor({ compiler, modules, maps, guard, watched }) {
    this.#watched = watched;
    this.#compiler = compiler;
    this.#modules = modules;
    this.#maps = maps;
    this.#guard = guard;
    this.#rest();
    process.on('uncaughtException', (error) => this.#stray('uncaught exception in a timer or callback', error));
    process.on('unhandledRejection', (reason) => this.#stray('unhandled promise rejection', reason));
  }

  /** Lets the compiler catch up with what has run, unless something runs before. */
  #rest() {
    if (!this.#watched) return;
    clearTimeout(this.#idle);
    const catchUp = () => !this.#running && this.#guard.compiling(() => this.#compiler.catchUp(this.#declarations));
    this.#idle = setTimeout(catchUp, IDLE_MS).unref();
  }

  /** Runs a cell. Resolves to undefined, or to { ename, evalue, traceback } where it failed; never rejects. */
  async execute(code, label) {
    const left = this.#takeLeft();
    if (left) return left;
    let compiled;
    try {
      compiled = this.#guard.compiling(() => this.#compile(code, label));
    } catch (error) {
      return describeThrown(error);
    }
    if (compiled.failure) return compiled.failure;
    if (!compiled.output) {
      this.#declarations = compiled.declOutput ?? '';
      return undefined;
    }
    this.#lastLabel = label;
    return new Promise((resolve) => {
      const run = { resolve, compiled, interrupted: false };
      this.#running = run;
      // A tick of its own: if the cell is stopped by force, nothing of the kernel's is in the same queue of microtasks.
      setImmediate(() => this.#running === run && this.#start(run, label));
    });
  }

  #compile(code, label) {
    const metadata = getCodeMetadata(code);
    if (metadata.module) {
      const diagnostics = this.#compiler.addModule(metadata.module, code, metadata);
      return { failure: typeFailure(diagnostics, label), declOutput: this.#declarations };
    }
    const compiled = this.#compiler.convert(this.#declarations, code);
    this.#modules.update(compiled.sideOutputs ?? []);
    return { ...compiled, failure: typeFailure(compiled.diagnostics, label) };
  }

  #start(run, label) {
    const { output, hasToplevelAwait } = run.compiled;
    const open = `(${hasToplevelAwait ? 'async ' : ''}function (exports, require) {`;
    this.#maps.register(label, output, label, LINES_BEFORE);
    try {
      const cell = new vm.Script(`${open}${output}\n})`, {
        filename: label,
        columnOffset: -open.length,
      }).runInThisContext();
      globalThis[ENTER] = () => cell.call(undefined, this.#exports, this.#modules.requireFor());
      const result = this.#guard.running(() =>
        enterScript.runInThisContext({ breakOnSigint: true, displayErrors: false }),
      );
      if (!hasToplevelAwait) return this.#end(run);
      result.then(
        () => this.#end(run),
        (error) => this.#end(run, error, true),
      );
    } catch (error) {
      if (error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') this.interrupt(true);
      else this.#end(run, error, true);
    } finally {
      delete globalThis[ENTER];
    }
  }

  /** The cell has come to its end. One more turn of the event loop, so that rejections it leaves behind count as its own. */
  #end(run, error, failed = false) {
    setImmediate(() => {
      if (this.#running !== run) return;
      if (run.interrupted) this.#settle(run, interruption());
      else if (failed) this.#settle(run, describeThrown(error));
      else {
        this.#showLastValue(run.compiled.lastExpressionVar);
        this.#settle(run);
      }
    });
  }

  #settle(run, failure) {
    // Also after a failure: what the cell had declared before it failed stays usable.
    this.#declarations = run.compiled.declOutput ?? '';
    clearTimeout(run.timer);
    this.#running = undefined;
    this.#rest();
    run.resolve(failure);
  }

  #showLastValue(name) {
    if (!name) return;
    const value = this.#exports[name];
    delete this.#exports[name];
    if (value !== undefined && value !== null) console.log(value);
  }

  /**
   * Interrupts the running cell. Who listens to INTERRUPT on `process` is told and may bring the cell to its end;
   * a cell without listeners, one that was stopped by force and one that is interrupted twice end at once.
   */
  interrupt(stopped = false) {
    const run = this.#running;
    const heard = this.#announce();
    if (!run) return;
    if (stopped || !heard || run.interrupted) {
      this.#settle(run, interruption());
      return;
    }
    run.interrupted = true;
    run.timer = setTimeout(() => this.#running === run && this.#settle(run, interruption()), LISTENER_MS);
  }

  #announce() {
    try {
      return process.emit(INTERRUPT);
    } catch (error) {
      console.error(describeThrown(error).traceback.join('\n'));
      return true;
    }
  }

  /** An error that no cell's own promise carries. It fails the running cell, or else the next one. */
  #stray(kind, error) {
    const failure = describeThrown(error);
    const run = this.#running;
    if (run) {
      failure.traceback.push(`(${kind} while this cell was running)`);
      this.#announce();
      this.#settle(run, run.interrupted ? interruption() : failure);
      return;
    }
    const origin = this.#lastLabel ? `after ${this.#lastLabel} had ended` : 'before any cell had run';
    console.error(`${failure.traceback.join('\n')}\n(${kind} ${origin})`);
    this.#left.push({ ...failure, note: `${kind} ${origin}; this cell was not run: run it again` });
  }

  #takeLeft() {
    const [first, ...others] = this.#left.splice(0);
    if (!first) return undefined;
    const traceback = [first, ...others].flatMap((failure) => [...failure.traceback, `(${failure.note})`]);
    return { ename: first.ename, evalue: `${first.evalue} (${first.note})`, traceback };
  }

  inspect(code, position) {
    const info = this.#guard.compiling(() => this.#compiler.inspect(this.#declarations, code, position));
    return info && { ...info, tags: info.tags?.map(withName) };
  }

  complete(code, position) {
    return this.#guard.compiling(() => this.#compiler.complete(this.#declarations, code, position));
  }
}

/** A tag of a docstring with its name in its text: tslab prints the name of `@param` alone. */
function withName(tag) {
  if (tag.name === 'param') return tag;
  return { ...tag, text: [{ kind: 'text', text: `@${tag.name} ` }, ...(tag.text ?? [])] };
}

const interruption = () => ({
  ename: 'KeyboardInterrupt',
  evalue: 'the cell was interrupted',
  traceback: ['KeyboardInterrupt: the cell was interrupted'],
});

/** The type errors as one failure, a line each: `file line:column - message (TS code)`; undefined where there is none. */
function typeFailure(diagnostics, label) {
  if (diagnostics.length === 0) return undefined;
  const lines = diagnostics.map(({ fileName, start, messageText, code }) => {
    const place = `${start.line + 1}:${start.character + 1}`;
    return `${fileName ?? label}:${place} - ${messageText} (TS${code})`;
  });
  return {
    ename: 'TypeScriptError',
    evalue: lines.join('\n'),
    traceback: lines.map((line) => `TypeScriptError: ${line}`),
  };
}

/**
 * What cells declare, by name. Compiled code defines imported names as fixed getters; here every definition becomes a
 * plain property, so that a later cell may declare the name again.
 */
function cellExports() {
  return new Proxy(
    {},
    {
      defineProperty(target, name, attributes) {
        if (name !== '__esModule') target[name] = attributes.get ? attributes.get() : attributes.value;
        return true;
      },
    },
  );
}

module.exports = { Executor };
