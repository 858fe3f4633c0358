// A reporter for node:test: a line for every test that failed (with its error) and for every slow one, a count for
// each file, and `N passed, N failed` at the end.
import path from 'node:path';

const SLOW_MS = 5000;

export default async function* report(source) {
  const files = new Map();
  const printed = new Map();
  let passed = 0;
  let failed = 0;
  const isTest = (data) => data.details?.type !== 'suite' && !isFile(data);
  // On some Node versions a file appears as a test of its own, named after its path.
  const isFile = (data) => data.nesting === 0 && data.name.endsWith('.test.ts');

  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') {
      if (type === 'test:stderr' || type === 'test:stdout')
        printed.set(data.file, (printed.get(data.file) ?? '') + data.message);
      continue;
    }
    const file = path.relative(process.cwd(), data.file ?? '');
    const count = files.get(file) ?? { passed: 0, failed: 0 };
    files.set(file, count);
    if (type === 'test:fail') {
      const cause = data.details?.error?.cause ?? data.details?.error;
      const childrenFailed = data.details?.error?.failureType === 'subtestsFailed';
      if (childrenFailed) continue;
      failed++;
      count.failed++;
      yield `✗ ${file || data.name}: ${data.name}\n${indent(String(cause?.stack ?? cause?.message ?? cause))}\n`;
      // a file that failed as a whole says why in what it printed
      if (isFile(data)) yield `${indent((printed.get(data.file) ?? '').slice(-4000))}\n`;
    } else if (isTest(data)) {
      if (data.skip !== undefined || data.todo !== undefined) continue;
      passed++;
      count.passed++;
      const ms = Math.round(data.details.duration_ms);
      if (ms > SLOW_MS) yield `  ${file}: ${data.name} (${(ms / 1000).toFixed(1)} s)\n`;
    }
  }
  for (const [file, count] of [...files].sort()) {
    yield `${count.failed ? '✗' : '✓'} ${file}: ${count.passed} passed, ${count.failed} failed\n`;
  }
  yield `\n${passed} passed, ${failed} failed\n`;
}

const indent = (text) => text.replace(/^/gm, '    ');
