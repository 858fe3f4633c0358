// A progress bar: one line that renews itself in a terminal and under a notebook cell, and now and then a plain line
// where output goes to a file.
import { kernelDisplay } from '../kernel/index.js';
import { escapeHtml } from '../plot/index.js';

/** Where a task stands. */
export interface ProgressState {
  /** What runs: `epoch 2/4`. */
  label: string;
  done: number;
  total: number;
  /** Examples per second. */
  rate: number;
  /** Seconds until the whole task is done, not only this label. */
  remaining: number;
  /** Short figures to show: `{ loss: 1.234 }`. */
  figures: Readonly<Record<string, number>>;
}

/** Shows states as they come. `finish` leaves `line` as the last word. */
export interface ProgressView {
  show(state: ProgressState): void;
  finish(line: string): void;
}

const WIDTH = 24;
const TERMINAL_MS = 100;
const NOTEBOOK_MS = 300;
const PLAIN_MS = 15_000;

/** 75 → `1:15`, 3700 → `1:01:40`. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–:––';
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const share = ({ done, total }: ProgressState): number => (total > 0 ? Math.min(1, done / total) : 1);

/** The state as one line of text. */
export function progressLine(state: ProgressState): string {
  const filled = Math.round(WIDTH * share(state));
  const bar = '━'.repeat(filled) + '╌'.repeat(WIDTH - filled);
  const figures = Object.entries(state.figures).map(([name, value]) => `${name} ${value.toPrecision(4)}`);
  const rate = `${state.rate.toFixed(state.rate < 10 ? 1 : 0)} img/s`;
  return [
    `${state.label} ${bar} ${state.done}/${state.total}`,
    ...figures,
    rate,
    `${clock(state.remaining)} left`,
  ].join(' · ');
}

/** At most one call of `show` every `ms`. */
function throttled(ms: number, show: (state: ProgressState) => void): (state: ProgressState) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (state) => {
    if (performance.now() - last < ms) return;
    last = performance.now();
    show(state);
  };
}

/** The view that fits where this runs. */
export function createProgress(): ProgressView {
  return notebookView() ?? (process.stderr.isTTY ? terminalView() : plainView());
}

function notebookView(): ProgressView | undefined {
  const display = kernelDisplay();
  if (!display) return undefined;
  const id = `progress-${process.pid}-${performance.now()}`;
  let shown = false;
  const put = (text: string, html: string): void => {
    const bundle = { 'text/plain': text, 'text/html': html };
    if (shown) display.updateDisplay(id, bundle);
    else display.display(bundle, {}, id);
    shown = true;
  };
  return {
    show: throttled(NOTEBOOK_MS, (state) => {
      const [bar, ...rest] = progressLine(state).split(' · ');
      const label = bar!.replace(/ [━╌]+ /, ' ');
      put(
        progressLine(state),
        `<div style="font-family:monospace"><progress value="${share(state)}" style="width:14em;vertical-align:middle"></progress> ${escapeHtml([label, ...rest].join(' · '))}</div>`,
      );
    }),
    finish: (line) => put(line, `<div style="font-family:monospace">${escapeHtml(line)}</div>`),
  };
}

function terminalView(): ProgressView {
  const write = (line: string): void => {
    const columns = process.stderr.columns || 100;
    process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
  };
  return {
    show: throttled(TERMINAL_MS, (state) => write(progressLine(state))),
    finish: (line) => write(`${line}\n`),
  };
}

function plainView(): ProgressView {
  return {
    show: throttled(PLAIN_MS, (state) => console.error(progressLine(state))),
    finish: (line) => console.error(line),
  };
}
