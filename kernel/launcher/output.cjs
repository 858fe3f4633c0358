// What a cell writes and shows, on its way to the client. Of a burst of text the first BURST pieces go at once; the rest
// is gathered into few messages: at the end of the tick, and every FLUSH_MS or MAX_TEXT characters until then.
const { StringDecoder } = require('node:string_decoder');
const { randomUUID } = require('node:crypto');

const BURST = 20;
const FLUSH_MS = 100;
const MAX_TEXT = 1 << 20;

class Output {
  #publish;
  #watched;
  #parent = {};
  #name;
  #text = [];
  #length = 0;
  #flushedAt = 0;
  #burst = 0;
  #scheduled = false;

  /** `publish(type, content, parentHeader)` sends a message on iopub; `watched`: somebody looks at what is shown. */
  constructor(publish, watched) {
    this.#publish = publish;
    this.#watched = watched;
  }

  /** From now on output belongs to the request with this header, also after the request has ended. */
  attach(parent) {
    this.flush();
    this.#parent = parent;
  }

  install() {
    for (const name of ['stdout', 'stderr']) {
      const decoder = new StringDecoder('utf8');
      process[name].write = (chunk, encoding, callback) => {
        this.write(name, typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk)));
        const done = typeof encoding === 'function' ? encoding : callback;
        if (done) process.nextTick(done);
        return true;
      };
    }
    // process.exit: what is still gathered goes out before the process does.
    process.on('exit', () => this.flush());
  }

  write(name, text) {
    if (text === '') return;
    if (name !== this.#name) this.flush();
    this.#name = name;
    this.#text.push(text);
    this.#length += text.length;
    const due = this.#length >= MAX_TEXT || Date.now() - this.#flushedAt >= FLUSH_MS;
    if (this.#burst++ < BURST || due) this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#burst = 0;
      this.flush();
    });
  }

  flush() {
    this.#flushedAt = Date.now();
    if (this.#text.length === 0) return;
    const text = this.#text.join('');
    this.#text = [];
    this.#length = 0;
    this.#publish('stream', { name: this.#name, text }, this.#parent);
  }

  send(type, content) {
    this.flush();
    this.#publish(type, content, this.#parent);
  }

  /** The object that cells and src find as `globalThis.vitlabKernel`; see src/kernel/display.ts. */
  api() {
    const show = (type, bundle, metadata, displayId) =>
      this.send(type, { data: encode(bundle), metadata, transient: displayId ? { display_id: displayId } : {} });
    const cell = () => this.#parent.msg_id ?? '';
    const watched = this.#watched;
    return Object.freeze({
      get cell() {
        return cell();
      },
      watched,
      display: (bundle, metadata = {}, displayId = randomUUID()) => {
        show('display_data', bundle, metadata, displayId);
        return displayId;
      },
      updateDisplay: (displayId, bundle, metadata = {}) => show('update_display_data', bundle, metadata, displayId),
      clearOutput: (wait = false) => this.send('clear_output', { wait }),
    });
  }
}

function encode(bundle) {
  return Object.fromEntries(
    Object.entries(bundle).map(([mime, value]) => [
      mime,
      value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
    ]),
  );
}

module.exports = { Output };
