// What a running cell says, in one line for the terminal.
import { stripVTControlCharacters } from 'node:util';
import type { Output } from '../kernel/index.js';

/** The last line of an output that says anything, without terminal codes; empty where there is none. */
export function progressText(output: Output): string {
  if (output.output_type === 'stream') return lastLine(output.text);
  if (output.output_type === 'error') return '';
  const plain = output.data['text/plain'];
  return typeof plain === 'string' ? lastLine(plain) : '';
}

function lastLine(text: string): string {
  const lines = stripVTControlCharacters(text).split(/[\r\n]+/);
  return lines.findLast((line) => line.trim() !== '')?.trim() ?? '';
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
