// The runs as a Markdown page, such as GitHub shows for a step of a workflow.
import { stripVTControlCharacters } from 'node:util';
import { plural } from '../words.js';
import { rangeText } from './contract.js';
import { cellText, codeBlock, markdownTable } from './markdownParts.js';
import type { Outcome } from './outcome.js';
import { durationText } from './progress.js';

/** A table of the runs; below it their metrics, and what went wrong. */
export function markdownSummary(outcomes: readonly Outcome[], planned = outcomes.length): string {
  const good = outcomes.filter(({ exitCode }) => exitCode === 0).length;
  const rows = outcomes.map(({ name, status, exitCode, checks, seconds, runDir }) => {
    const passed = checks.filter((check) => check.passed).length;
    const ranges = checks.length ? `${passed} of ${checks.length}` : '–';
    return [mark(exitCode === 0), name, status, ranges, durationText(seconds), `\`${runDir}\``];
  });
  return [
    `## vitlab: ${good} of ${plural(planned, 'run')} passed`,
    table(['', 'run', 'status', 'metrics in range', 'duration', 'folder'], rows),
    ...outcomes.map(sectionOf),
  ]
    .filter(Boolean)
    .join('\n\n')
    .concat('\n');
}

function sectionOf({ name, checks, metrics, error, cells }: Outcome): string {
  const expected = new Map(checks.map((check) => [check.metric, check]));
  const names = [...new Set([...expected.keys(), ...Object.keys(metrics)])];
  const rows = names.map((metric) => {
    const check = expected.get(metric);
    const value = metrics[metric];
    return [
      check ? mark(check.passed) : '',
      metric,
      value === undefined ? 'not recorded' : String(value),
      check ? rangeText(check.expected) : '–',
    ];
  });
  const failures = cells.flatMap((cell) => (cell.error === undefined ? [] : [`${cell.label}\n${cell.error}`]));
  const wrong = failures.length ? failures : error ? [error] : [];
  const parts = [
    rows.length ? table(['', 'metric', 'value', 'expected'], rows) : '',
    ...wrong.map((text) => codeBlock(stripVTControlCharacters(text))),
  ];
  return parts.some(Boolean) ? [`### ${cellText(name)}`, ...parts.filter(Boolean)].join('\n\n') : '';
}

function mark(good: boolean): string {
  return good ? '✅' : '❌';
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  return markdownTable(
    columns,
    rows.map((row) => row.map(cellText)),
  );
}
