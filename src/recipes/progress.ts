// What a running cell says, in one line for the terminal, and quantities in words.
import { stripVTControlCharacters } from 'node:util';
import type { Output } from '../kernel/index.js';

/** The bar of a training's progress line. */
const BAR = / [━╌]+ /;
/** What stands between its figures. */
const FIGURE = ' · ';

/** The last line of an output that says anything, without terminal codes and bars; empty where there is none. */
export function progressText(output: Output): string {
  if (output.output_type === 'stream') return lastLine(output.text);
  if (output.output_type === 'error') return '';
  const plain = output.data['text/plain'];
  return typeof plain === 'string' ? lastLine(plain) : '';
}

function lastLine(text: string): string {
  const lines = stripVTControlCharacters(text).split(/[\r\n]+/);
  const last = lines.findLast((line) => line.trim() !== '') ?? '';
  return last.replace(BAR, ' ').trim();
}

/**
 * `text` in at most `width` characters. What is too much is left out before its end, where the time left stands: first
 * whole figures of a progress line, then characters.
 */
export function shortenedTo(width: number, text: string): string {
  if (text.length <= width) return text;
  const figures = text.split(FIGURE);
  if (figures.length > 2) return shortenedTo(width, [...figures.slice(0, -2), figures.at(-1)!].join(FIGURE));
  const tail = Math.floor((width - 1) / 3);
  return `${text.slice(0, Math.max(0, width - 1 - tail))}…${text.slice(text.length - tail)}`;
}

/** `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function durationText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** `512 MB`, `1.4 GB`. */
export function memoryText(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
