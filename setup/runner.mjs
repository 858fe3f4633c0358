// Runs the commands of a step: output goes to the step's log, its last line to whoever watches, its end into the error.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pythonEnv } from './machine.mjs';
import { temporary } from './stamps.mjs';

/** A step that failed; the message is all that the user gets to see. */
export class StepFailure extends Error {}

export class Runner {
  #child;
  constructor(root, lock) {
    this.root = root;
    this.lock = lock;
  }

  /** `run(command, args)` for one step, in the clone's root; rejects with a `StepFailure`. */
  logging(name, live) {
    const log = path.join(this.root, '.vitlab', 'setup', `${name}.log`);
    mkdirSync(path.dirname(log), { recursive: true });
    writeFileSync(log, '');
    return (command, args) => this.#run(command, args, log, live);
  }

  #run(command, args, log, live) {
    const env = { ...pythonEnv(process.env), TMPDIR: temporary(this.root) };
    delete env.NODE_ENV; // npm would leave out the development packages
    appendFileSync(log, `$ ${[command, ...args].join(' ')}\n`);
    // A process group of its own, so that it can be ended with all that it started.
    const child = spawn(command, args, {
      cwd: this.root,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    if (child.pid !== undefined) this.lock.holds(child.pid);
    let tail = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        appendFileSync(log, text);
        tail = (tail + text).slice(-4000);
        live(
          tail
            .trimEnd()
            .split(/[\r\n]+/)
            .at(-1),
        );
      });
    }
    return new Promise((resolve, reject) => {
      const fail = (how) => {
        const lines = tail.trim().split('\n').slice(-12).join('\n');
        reject(new StepFailure(`${path.basename(command)} ${how}; the whole output is in ${log}.\n${lines}`));
      };
      child.on('error', (error) => fail(`could not be started (${error.message})`));
      child.on('close', (code, signal) => {
        this.#child = undefined;
        this.lock.holds(undefined);
        if (code === 0) resolve(tail.trim());
        else fail(signal ? `was ended by ${signal}` : `ended with exit code ${code}`);
      });
    });
  }

  /** Ends the command that is running, with all that it started. */
  kill() {
    if (this.#child?.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}
