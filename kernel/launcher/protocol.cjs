// Jupyter's wire protocol over ZeroMQ: https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
const { createHmac, randomUUID, timingSafeEqual } = require('node:crypto');

const DELIMITER = '<IDS|MSG>';
const VERSION = '5.3';
const session = randomUUID();

class Signer {
  #key;

  constructor(key) {
    this.#key = key;
  }

  sign(parts) {
    if (!this.#key) return '';
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest('hex');
  }

  /** The message in these frames, or undefined where they are malformed or the signature is not ours. */
  parse(frames) {
    const at = frames.findIndex((frame) => frame.toString('latin1') === DELIMITER);
    if (at < 0 || frames.length < at + 6) return undefined;
    const parts = frames.slice(at + 2, at + 6);
    const seen = frames[at + 1];
    const wanted = Buffer.from(this.sign(parts));
    if (seen.length !== wanted.length || !timingSafeEqual(seen, wanted)) return undefined;
    const [header, parent, metadata, content] = parts.map((part) => JSON.parse(part.toString()));
    return { identities: frames.slice(0, at), header, parent, metadata, content };
  }

  frames(identities, type, content, parent) {
    const header = {
      msg_id: randomUUID(),
      msg_type: type,
      session,
      username: 'kernel',
      date: new Date().toISOString(),
      version: VERSION,
    };
    const parts = [header, parent, {}, content].map((part) => JSON.stringify(part));
    return [...identities, DELIMITER, this.sign(parts), ...parts];
  }
}

/** Options under which nothing is lost: a send never waits (ZeroMQ for Node refuses further ones while one does), the
 * queue has no limit, and at the end what is queued has a second to leave. */
const SENDER_OPTIONS = { sendHighWaterMark: 0, sendTimeout: 0, linger: 1000 };

module.exports = { Signer, SENDER_OPTIONS, VERSION };
