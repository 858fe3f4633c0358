// Jupyter's wire protocol, client side: https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

const DELIMITER = '<IDS|MSG>';
const VERSION = '5.3';

export type Message = { type: string; parentId: string | undefined; content: Record<string, unknown> };

/** Signs what is sent and checks what is received with the key of the connection file (HMAC-SHA256). */
export class Wire {
  readonly session = randomUUID();
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  /** The frames of a new request, and its message id. */
  request(type: string, content: Record<string, unknown>): { id: string; frames: string[] } {
    const id = randomUUID();
    const header = {
      msg_id: id,
      msg_type: type,
      session: this.session,
      username: 'vitlab',
      date: new Date().toISOString(),
      version: VERSION,
    };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    return { id, frames: [DELIMITER, this.#sign(parts), ...parts] };
  }

  /** The message in these frames; undefined where they are malformed or not signed with the key. */
  parse(frames: Buffer[]): Message | undefined {
    const at = frames.findIndex((frame) => frame.toString('latin1') === DELIMITER);
    if (at < 0 || frames.length < at + 6) return undefined;
    const parts = frames.slice(at + 2, at + 6);
    const wanted = Buffer.from(this.#sign(parts));
    const seen = frames[at + 1]!;
    if (seen.length !== wanted.length || !timingSafeEqual(seen, wanted)) return undefined;
    const [header, parent, , content] = parts.map((part) => JSON.parse(part.toString()));
    return { type: header.msg_type, parentId: parent.msg_id, content };
  }

  #sign(parts: (string | Buffer)[]): string {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest('hex');
  }
}
