// JUnit XML, as CI servers read it: a suite a run, a case a cell and a case an expected metric.
import { escapeHtml } from '../plot/index.js';
import { type Check, rangeText } from './contract.js';
import { checkText, type Outcome } from './outcome.js';

interface Case {
  readonly name: string;
  readonly seconds: number;
  readonly failure?: string;
  readonly skipped?: boolean;
}

/** One XML document for all runs. */
export function junitXml(outcomes: readonly Outcome[]): string {
  const suites = outcomes.map((outcome) => suite(outcome, casesOf(outcome)));
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`;
}

function casesOf({ cells, checks, status, error }: Outcome): Case[] {
  const cases: Case[] = cells.map(({ label, seconds, status: cellStatus, error: failure }) => ({
    name: label,
    seconds,
    skipped: cellStatus === 'skipped',
    ...(cellStatus === 'failed' && { failure: failure ?? 'failed' }),
  }));
  // A run that failed outside of its cells, such as in starting its kernel, must not look green.
  if (status !== 'finished' && !cases.some(({ failure }) => failure !== undefined)) {
    cases.push({ name: 'run', seconds: 0, failure: error ?? status });
  }
  return [...cases, ...checks.map(caseOfCheck)];
}

function caseOfCheck(check: Check): Case {
  const name = `metric ${check.metric}: ${rangeText(check.expected)}`;
  return { name, seconds: 0, ...(!check.passed && { failure: checkText(check) }) };
}

function suite({ name, seconds }: Outcome, cases: readonly Case[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const skipped = cases.filter((entry) => entry.skipped).length;
  const head =
    `  <testsuite name="${xml(name)}" tests="${cases.length}" failures="${failures}" errors="0" ` +
    `skipped="${skipped}" time="${seconds.toFixed(3)}">\n`;
  const body = cases.map((entry) => {
    const open = `    <testcase classname="${xml(name)}" name="${xml(entry.name)}" time="${entry.seconds.toFixed(3)}"`;
    if (entry.failure !== undefined) {
      const message = entry.failure.split('\n')[0]!;
      return `${open}>\n      <failure message="${xml(message)}">${xml(entry.failure)}</failure>\n    </testcase>\n`;
    }
    return entry.skipped ? `${open}><skipped/></testcase>\n` : `${open}/>\n`;
  });
  return `${head}${body.join('')}  </testsuite>\n`;
}

/** Escapes, and drops the control characters that XML 1.0 cannot hold. */
function xml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to drop
  return escapeHtml(text.replace(/\x1b\[[\d;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, ''));
}
