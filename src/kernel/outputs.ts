// The outputs of cells as notebooks hold them (nbformat 4, https://nbformat.readthedocs.io), gathered from iopub messages.

/** Representations of one thing by mime type; binary ones as base64 text. */
export type MimeBundle = Record<string, unknown>;

export type StreamOutput = { output_type: 'stream'; name: 'stdout' | 'stderr'; text: string };
export type DisplayOutput = { output_type: 'display_data'; data: MimeBundle; metadata: Record<string, unknown> };
export type ResultOutput = {
  output_type: 'execute_result';
  data: MimeBundle;
  metadata: Record<string, unknown>;
  execution_count: number | null;
};
export type ErrorOutput = { output_type: 'error'; ename: string; evalue: string; traceback: string[] };
export type Output = StreamOutput | DisplayOutput | ResultOutput | ErrorOutput;

type Content = Record<string, unknown>;

/** The displays of a kernel that carry an id: an update changes all of them, in whichever cell they stand. */
export class Displays {
  readonly #byId = new Map<string, (DisplayOutput | ResultOutput)[]>();

  add(id: string, output: DisplayOutput | ResultOutput): void {
    this.#byId.set(id, [...(this.#byId.get(id) ?? []), output]);
  }

  update(id: string, data: MimeBundle, metadata: Record<string, unknown>): void {
    for (const output of this.#byId.get(id) ?? []) Object.assign(output, { data, metadata });
  }
}

/** The outputs of one cell. */
export class CellOutputs {
  readonly outputs: Output[] = [];
  readonly #displays: Displays;
  #clearBeforeNext = false;

  constructor(displays: Displays) {
    this.#displays = displays;
  }

  /**
   * Takes one iopub message. Text joins the stream output before it, `clear_output` and `update_display_data` are
   * honoured. Returns what the message brought (of a stream only the new text), or undefined where it brought nothing to
   * see.
   */
  take(type: string, content: Content): Output | undefined {
    switch (type) {
      case 'stream': {
        const name = content['name'] === 'stderr' ? 'stderr' : 'stdout';
        const piece: StreamOutput = { output_type: 'stream', name, text: String(content['text']) };
        this.#clearIfDue();
        const last = this.outputs.at(-1);
        if (last?.output_type === 'stream' && last.name === name) last.text += piece.text;
        else this.outputs.push({ ...piece });
        return piece;
      }
      case 'display_data':
        return this.#show({ output_type: type, ...bundleOf(content) }, content);
      case 'execute_result': {
        const count = content['execution_count'];
        const execution_count = typeof count === 'number' ? count : null;
        return this.#show({ output_type: type, ...bundleOf(content), execution_count }, content);
      }
      case 'update_display_data': {
        const { data, metadata } = bundleOf(content);
        const id = displayIdOf(content);
        if (id !== undefined) this.#displays.update(id, data, metadata);
        return { output_type: 'display_data', data, metadata };
      }
      case 'error':
        this.#clearIfDue();
        return this.#push({
          output_type: 'error',
          ename: String(content['ename']),
          evalue: String(content['evalue']),
          traceback: (content['traceback'] as unknown[]).map(String),
        });
      case 'clear_output':
        if (content['wait'] === true) this.#clearBeforeNext = true;
        else this.outputs.length = 0;
        return undefined;
      default:
        return undefined;
    }
  }

  #show(output: DisplayOutput | ResultOutput, content: Content): Output {
    this.#clearIfDue();
    const id = displayIdOf(content);
    if (id !== undefined) this.#displays.add(id, output);
    return this.#push(output);
  }

  #push(output: Output): Output {
    this.outputs.push(output);
    return output;
  }

  #clearIfDue(): void {
    if (this.#clearBeforeNext) this.outputs.length = 0;
    this.#clearBeforeNext = false;
  }
}

function bundleOf(content: Content): { data: MimeBundle; metadata: Record<string, unknown> } {
  return {
    data: (content['data'] ?? {}) as MimeBundle,
    metadata: (content['metadata'] ?? {}) as Record<string, unknown>,
  };
}

function displayIdOf(content: Content): string | undefined {
  const id = (content['transient'] as Content | undefined)?.['display_id'];
  return typeof id === 'string' ? id : undefined;
}
