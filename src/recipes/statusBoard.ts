// Says how runs get on: one line a run that is redrawn on a terminal, plain lines elsewhere (logs, pipes).
import { durationText, shortenedTo } from './progress.js';
import type { Progress } from './runner.js';

const REDRAW_MS = 200;
const PLAIN_MS = 30_000;

interface Line {
  readonly name: string;
  readonly started: number;
  progress: Progress;
  saidCell: number;
  saidAt: number;
}

/** Draws on a stream; nothing of it is left on a terminal but the lines that `done` gave. */
export class StatusBoard {
  readonly #out: NodeJS.WriteStream;
  readonly #lines = new Map<string, Line>();
  #drawn = 0;
  #drawnAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
    if (out.isTTY) {
      this.#timer = setInterval(() => this.#draw(), 1000);
      this.#timer.unref();
    }
  }

  /** Opens the line of the run called `name`; `key` tells runs of one name apart. */
  start(key: string, name: string): void {
    const progress = { cell: 0, cells: 0, text: '' };
    this.#lines.set(key, { name, started: Date.now(), progress, saidCell: -1, saidAt: 0 });
  }

  update(key: string, progress: Progress): void {
    const line = this.#lines.get(key);
    if (!line) return;
    // A cell that says nothing new keeps showing what it said last.
    const text = progress.text || (progress.cell === line.progress.cell ? line.progress.text : '');
    line.progress = { ...progress, text };
    if (!this.#out.isTTY) this.#sayPlain(line);
    else if (Date.now() - this.#drawnAt >= REDRAW_MS) this.#draw();
  }

  /** Ends a run's line with a text that stays. */
  done(key: string, text: string): void {
    this.#lines.delete(key);
    this.#erase();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  #sayPlain(line: Line): void {
    const { cell, text } = line.progress;
    const newCell = cell !== line.saidCell && cell > 0;
    if (!newCell && (!text || Date.now() - line.saidAt < PLAIN_MS)) return;
    line.saidCell = cell;
    line.saidAt = Date.now();
    this.#out.write(`${statusText(line.name, line.progress, elapsed(line))}\n`);
  }

  #draw(): void {
    if (!this.#out.isTTY) return;
    this.#erase();
    const width = (this.#out.columns || 80) - 1;
    for (const line of this.#lines.values()) {
      this.#out.write(`${shortenedTo(width, statusText(line.name, line.progress, elapsed(line)))}\n`);
    }
    this.#drawn = this.#lines.size;
    this.#drawnAt = Date.now();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }
}

/** `name: cell 2 of 9, 12 s, epoch 3 …`. */
function statusText(name: string, { cell, cells, text }: Progress, seconds: number): string {
  const where = cell > 0 ? `cell ${cell} of ${cells}` : 'starting';
  return [`${name}: ${where}`, durationText(seconds), text].filter(Boolean).join(', ');
}

function elapsed({ started }: Line): number {
  return (Date.now() - started) / 1000;
}
