// Answers Jupyter's requests: https://jupyter-client.readthedocs.io/en/stable/messaging.html
const { tslabRequire } = require('./compiler.cjs');
const { describeThrown } = require('./stacks.cjs');
const { Signer, SENDER_OPTIONS, VERSION } = require('./protocol.cjs');

const { JupyterHandlerImpl } = tslabRequire('./dist/jupyter.js');

/** After an error, requests that are already on their way are read for so long, to be answered `aborted`. */
const SETTLE_MS = 20;

class Server {
  #signer;
  #sockets;
  #executor;
  #output;
  #tslab;
  #info;
  #queue = [];
  #running;
  #count = 0;

  constructor({ connection, zmq, info }) {
    this.#signer = new Signer(connection.key);
    this.#info = info;
    this.#sockets = {
      shell: new zmq.Router(SENDER_OPTIONS),
      control: new zmq.Router(SENDER_OPTIONS),
      stdin: new zmq.Router(SENDER_OPTIONS),
      hb: new zmq.Reply({ linger: 0 }),
      iopub: new zmq.Publisher(SENDER_OPTIONS),
    };
  }

  async bind({ transport, ip, ...ports }) {
    await Promise.all(
      Object.entries(this.#sockets).map(([name, socket]) =>
        socket.bind(`${transport}://${ip}:${ports[`${name}_port`]}`),
      ),
    );
  }

  publish(type, content, parent) {
    this.#sockets.iopub.send(this.#signer.frames([type], type, content, parent)).catch(() => {});
  }

  /** Begins to answer. */
  serve(executor, output) {
    this.#executor = executor;
    this.#output = output;
    this.#tslab = new JupyterHandlerImpl(executor, false);
    this.publish('status', { execution_state: 'starting' }, {});
    this.#receive(this.#sockets.shell);
    this.#receive(this.#sockets.control);
    this.#echo();
  }

  async #receive(socket) {
    for await (const frames of socket) {
      const message = this.#signer.parse(frames);
      if (!message) continue;
      const request = { ...message, socket };
      if (message.header.msg_type === 'execute_request') this.#enqueue(request);
      else this.#answer(request);
    }
  }

  async #echo() {
    for await (const frames of this.#sockets.hb) await this.#sockets.hb.send(frames);
  }

  #status(execution_state, request) {
    this.publish('status', { execution_state }, request.header);
  }

  #reply(request, content) {
    const type = request.header.msg_type.replace(/_request$/, '_reply');
    request.socket.send(this.#signer.frames(request.identities, type, content, request.header)).catch(() => {});
  }

  #answer(request) {
    const { header, content } = request;
    this.#status('busy', request);
    const answers = {
      kernel_info_request: () => this.#kernelInfo(),
      is_complete_request: () => this.#tslab.handleIsComplete(content),
      inspect_request: () => this.#tslab.handleInspect(content),
      complete_request: () => this.#tslab.handleComplete(content),
      comm_info_request: () => ({ status: 'ok', comms: {} }),
      history_request: () => ({ status: 'ok', history: [] }),
      interrupt_request: () => {
        this.#executor.interrupt();
        return { status: 'ok' };
      },
      shutdown_request: () => ({ status: 'ok', restart: content.restart === true }),
    };
    const answer = answers[header.msg_type];
    if (answer) {
      let reply;
      try {
        reply = answer();
      } catch (error) {
        reply = { status: 'error', ...describeThrown(error) };
      }
      this.#reply(request, reply);
    } else if (header.msg_type === 'comm_open') {
      this.publish('comm_close', { comm_id: content.comm_id, data: {} }, header);
    }
    this.#status('idle', request);
    // Clients take the last status as the kernel's: it is still at work on a cell.
    if (this.#running) this.#status('busy', this.#running);
    if (header.msg_type === 'shutdown_request') setImmediate(() => process.exit(0));
  }

  #kernelInfo() {
    const tslab = this.#tslab.handleKernel();
    return {
      ...tslab,
      status: 'ok',
      protocol_version: VERSION,
      implementation_version: this.#info.implementationVersion,
      language_info: { ...tslab.language_info, version: this.#info.typescriptVersion, pygments_lexer: 'typescript' },
      banner: `TypeScript ${this.#info.typescriptVersion} (vitlab's kernel on tslab)`,
      help_links: [],
    };
  }

  #enqueue(request) {
    this.#queue.push(request);
    if (!this.#running) this.#work();
  }

  async #work() {
    while (this.#queue.length > 0) {
      this.#running = this.#queue.shift();
      await this.#execute(this.#running);
    }
    this.#running = undefined;
  }

  async #execute(request) {
    const { code = '', silent = false, store_history: keep = true, stop_on_error: stop = true } = request.content;
    this.#status('busy', request);
    if (!silent && keep) this.#count++;
    const execution_count = this.#count;
    if (!silent) this.publish('execute_input', { code, execution_count }, request.header);
    this.#output.attach(request.header);
    const failure = await this.#executor.execute(code, `Cell[${execution_count}]`);
    this.#output.flush();
    if (failure) this.publish('error', failure, request.header);
    const aborted = failure && stop ? await this.#waiting() : [];
    this.#reply(
      request,
      failure
        ? { status: 'error', execution_count, ...failure, payload: [], user_expressions: {} }
        : { status: 'ok', execution_count, payload: [], user_expressions: {} },
    );
    this.#status('idle', request);
    for (const later of aborted) {
      this.#status('busy', later);
      this.#reply(later, { status: 'aborted' });
      this.#status('idle', later);
    }
  }

  /** The requests that were sent before this one's failure could be known (Jupyter's `stop_on_error`). Those sent after
   * its reply are always run. */
  async #waiting() {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return this.#queue.splice(0);
  }
}

module.exports = { Server };
