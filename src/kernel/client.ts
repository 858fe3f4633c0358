// A client of one Jupyter kernel (protocol 5.3): starts it, runs cells, gathers their outputs, ends it. Loopback only.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Dealer, Subscriber } from 'zeromq';
import { KernelDiedError, KernelError, KernelTimeoutError } from './errors.js';
import { type Exit, KernelProcess } from './launch.js';
import { CellOutputs, Displays, type ErrorOutput, type Output } from './outputs.js';
import { type Message, Wire } from './wire.js';

const READY_MS = 60_000;
const JOIN_MS = 200;
const SHUTDOWN_MS = 3000;
/** How long a cell that took too long may take to answer its interrupt before the kernel is killed. */
const INTERRUPT_MS = 15_000;
const START_ATTEMPTS = 3;
/** Node's timers hold no more; they would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Tells the kernel that nobody watches its cells run; see KernelDisplay. */
const HEADLESS = { VITLAB_HEADLESS: '1' };

export type KernelOptions = {
  /** Folder of the kernelspec; default the project's own. */
  specDir?: string;
  /** Where the process starts; the project's kernel itself works in the project's root. */
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Where the connection file lies while the kernel runs (mode 0600). */
  connectionDir?: string;
  readyTimeoutMs?: number;
  /** Ends the kernel while it starts; then `start` throws KernelDiedError. */
  signal?: AbortSignal;
};

export type ExecuteOptions = {
  /** After this time the cell is interrupted and KernelTimeoutError thrown; default: no limit. */
  timeoutMs?: number;
  /**
   * Told of each output of the running cell as it comes; of a stream only the new text, of an updated display the new content. What it
   * throws interrupts the cell, and `execute` throws it.
   */
  onOutput?: (output: Output) => void;
};

export type ExecuteResult = {
  status: 'ok' | 'error' | 'aborted';
  executionCount: number | null;
  /** nbformat 4. Later cells may still change them (display updates, output of timers). */
  outputs: Output[];
  /** What made the cell fail, where its status is `error`. */
  error?: { ename: string; evalue: string; traceback: string[] };
};

type Sockets = { shell: Dealer; control: Dealer; iopub: Subscriber };
type Pending = { onReply: (message: Message) => void; onIdle: () => void };

export class Kernel {
  readonly #process: KernelProcess;
  readonly #wire: Wire;
  readonly #sockets: Sockets;
  readonly #pending = new Map<string, Pending>();
  readonly #cells = new Map<string, { cell: CellOutputs; tell: (output: Output) => void }>();
  readonly #displays = new Displays();
  #iopubSeen = false;
  #closing = false;

  /**
   * Starts a kernel and waits until it answers on all channels. Throws KernelError where it does not within
   * `readyTimeoutMs` (default 60 s) or ends before; then nothing of it is left.
   */
  static async start(options: KernelOptions = {}): Promise<Kernel> {
    const zmq = await import('zeromq');
    for (let attempt = 1; ; attempt++) {
      const launched = await KernelProcess.launch({
        specDir: path.resolve(options.specDir ?? ownSpecDir()),
        cwd: options.cwd ?? process.cwd(),
        env: { ...HEADLESS, ...(options.env ?? process.env) },
        connectionDir: options.connectionDir ?? tmpdir(),
      });
      const wire = new Wire(launched.connection.key);
      const dealerOptions = { linger: 0, sendHighWaterMark: 0, sendTimeout: 0, routingId: wire.session };
      const kernel = new Kernel(launched, wire, {
        shell: new zmq.Dealer(dealerOptions),
        control: new zmq.Dealer(dealerOptions),
        iopub: new zmq.Subscriber({ linger: 0, receiveHighWaterMark: 0 }),
      });
      const stop = () => launched.kill();
      options.signal?.addEventListener('abort', stop);
      if (options.signal?.aborted) stop();
      try {
        await kernel.#join(options.readyTimeoutMs ?? READY_MS);
        return kernel;
      } catch (error) {
        await kernel.kill();
        // Another process took a port between our choosing and the kernel's binding it.
        if (attempt < START_ATTEMPTS && /EADDRINUSE|Address already in use/.test(launched.stderr)) continue;
        throw error;
      } finally {
        options.signal?.removeEventListener('abort', stop);
      }
    }
  }

  private constructor(launched: KernelProcess, wire: Wire, sockets: Sockets) {
    this.#process = launched;
    this.#wire = wire;
    this.#sockets = sockets;
    for (const name of ['shell', 'control', 'iopub'] as const) {
      sockets[name].connect(launched.connection.address(name));
      void this.#receive(name);
    }
    sockets.iopub.subscribe();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Resolves with the exit code or signal when the kernel's process has ended, whoever ended it. */
  get died(): Promise<Exit> {
    return this.#process.exited;
  }

  /**
   * Runs a cell to its end. Throws KernelTimeoutError after `timeoutMs` and KernelDiedError where the process ends; both
   * carry the outputs so far. A cell that fails is no exception: see the result's `status` and `error`.
   */
  async execute(code: string, { timeoutMs, onOutput }: ExecuteOptions = {}): Promise<ExecuteResult> {
    const cell = new CellOutputs(this.#displays);
    const content = {
      code,
      silent: false,
      store_history: true,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: false,
    };
    let listening = true;
    let onListenerError!: (error: unknown) => void;
    const listenerError = new Promise<never>((_, reject) => {
      onListenerError = reject;
    });
    const tell = (output: Output) => {
      if (!listening) return;
      try {
        onOutput?.(output);
      } catch (error) {
        listening = false;
        this.interrupt();
        onListenerError(error);
      }
    };
    const reply = this.#request('shell', 'execute_request', content, (id) => this.#cells.set(id, { cell, tell }));
    const { outputs } = cell;
    let timedOut = false;
    let timer: NodeJS.Timeout | undefined;
    if (timeoutMs !== undefined) {
      timer = setTimeout(
        () => {
          timedOut = true;
          this.interrupt();
          timer = setTimeout(() => this.#process.kill(), INTERRUPT_MS);
        },
        Math.min(timeoutMs, MAX_TIMER_MS),
      );
    }
    try {
      const message = await Promise.race([reply, this.#death(outputs), listenerError]);
      if (timedOut) throw this.#timeout(timeoutMs!, outputs);
      return toResult(message, outputs);
    } catch (error) {
      throw timedOut && error instanceof KernelDiedError ? this.#timeout(timeoutMs!, outputs) : error;
    } finally {
      listening = false;
      clearTimeout(timer);
    }
  }

  /** Asks for something other than a cell's run, `kernel_info_request` for example, and returns the reply's content. */
  async request(
    type: string,
    content: Record<string, unknown> = {},
    channel: 'shell' | 'control' = 'shell',
  ): Promise<Record<string, unknown>> {
    const reply = await Promise.race([this.#request(channel, type, content), this.#death([])]);
    return reply.content;
  }

  /** Interrupts the running cell; its result then has the error `KeyboardInterrupt`. */
  interrupt(): void {
    this.#process.signal('SIGINT');
  }

  /** Ends the kernel: asks it to, and kills it where it does not follow. */
  async shutdown(): Promise<void> {
    if (!this.#process.exit && !this.#closing) {
      this.#request('control', 'shutdown_request', { restart: false }).catch(() => {});
      const timer = setTimeout(() => this.#process.kill(), SHUTDOWN_MS);
      await this.#process.exited;
      clearTimeout(timer);
    }
    await this.kill();
  }

  /** Ends the kernel and its children at once. */
  async kill(): Promise<void> {
    this.#closing = true;
    this.#process.kill();
    await this.#process.exited;
    for (const socket of Object.values(this.#sockets)) if (!socket.closed) socket.close();
  }

  async #receive(name: keyof Sockets): Promise<void> {
    try {
      for await (const frames of this.#sockets[name]) this.#dispatch(name, this.#wire.parse(frames));
    } catch (error) {
      if (!this.#closing) throw error;
    }
  }

  #dispatch(name: keyof Sockets, message: Message | undefined): void {
    if (!message) return;
    if (name === 'iopub') this.#iopubSeen = true;
    if (message.parentId === undefined) return;
    const pending = this.#pending.get(message.parentId);
    if (name !== 'iopub') {
      pending?.onReply(message);
    } else if (message.type === 'status') {
      if (message.content['execution_state'] === 'idle') pending?.onIdle();
    } else {
      const running = this.#cells.get(message.parentId);
      const output = running?.cell.take(message.type, message.content);
      if (output) running?.tell(output);
    }
  }

  /** Resolves with the reply once the kernel is idle again as well: only then all outputs are here. */
  #request(
    channel: 'shell' | 'control',
    type: string,
    content: Record<string, unknown>,
    beforeSend?: (id: string) => void,
  ): Promise<Message> {
    if (this.#closing || this.#process.exit) return Promise.reject(this.#deathError([]));
    const { id, frames } = this.#wire.request(type, content);
    beforeSend?.(id);
    return new Promise((resolve, reject) => {
      let reply: Message | undefined;
      let idle = false;
      const settle = () => {
        if (!reply || !idle) return;
        this.#pending.delete(id);
        resolve(reply);
      };
      this.#pending.set(id, {
        onReply: (message) => {
          reply = message;
          settle();
        },
        onIdle: () => {
          idle = true;
          settle();
        },
      });
      this.#sockets[channel].send(frames).catch(reject);
    });
  }

  /** Repeats a request until an iopub message is seen: a subscription takes effect at an unknown time. */
  async #join(timeoutMs: number): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!this.#iopubSeen) {
      if (Date.now() > end) {
        throw new KernelError(`The kernel did not answer within ${timeoutMs / 1000} s. ${this.#process.stderr}`.trim());
      }
      const probe = this.#request('shell', 'kernel_info_request', {});
      await Promise.race([probe, this.#death([]), new Promise((resolve) => setTimeout(resolve, JOIN_MS))]);
    }
  }

  async #death(outputs: Output[]): Promise<never> {
    await this.#process.exited;
    throw this.#deathError(outputs);
  }

  #deathError(outputs: Output[]): KernelDiedError {
    const { code, signal } = this.#process.exit ?? { code: null, signal: null };
    const how = signal ? `by signal ${signal}` : code === null ? 'before it began' : `with exit code ${code}`;
    const said = this.#process.stderr;
    return new KernelDiedError(`The kernel ended ${how}.${said ? ` It said: ${said}` : ''}`, code, signal, outputs);
  }

  #timeout(timeoutMs: number, outputs: Output[]): KernelTimeoutError {
    return new KernelTimeoutError(
      `The cell ran longer than ${timeoutMs / 1000} s and was stopped. Give it more time, or less to do.`,
      outputs,
    );
  }
}

function toResult({ content }: Message, outputs: Output[]): ExecuteResult {
  const count = content['execution_count'];
  const executionCount = typeof count === 'number' ? count : null;
  if (content['status'] === 'ok') return { status: 'ok', executionCount, outputs };
  if (content['status'] !== 'error') return { status: 'aborted', executionCount, outputs };
  const shown = outputs.findLast((output): output is ErrorOutput => output.output_type === 'error');
  const error = {
    ename: String(content['ename'] ?? shown?.ename ?? 'Error'),
    evalue: String(content['evalue'] ?? shown?.evalue ?? ''),
    traceback: ((content['traceback'] ?? shown?.traceback ?? []) as unknown[]).map(String),
  };
  return { status: 'error', executionCount, outputs, error };
}

/** The kernelspec of the project this file belongs to. */
function ownSpecDir(): string {
  const specDir = path.resolve(__dirname, '../../kernel/jupyter/kernels/tslab');
  if (existsSync(specDir)) return specDir;
  throw new KernelError(`No kernelspec in ${specDir}. Name its folder with \`specDir\`.`);
}
