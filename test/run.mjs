// Runs the tests: `node test/run.mjs [path-part…]`. Every *.test.ts below test/ is one process (one TensorFlow each);
// the last line is `N passed, N failed`.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Folders whose tests start kernels, browsers or commands and wait for them: one at a time, others two. */
const ALONE = new Set(['cli', 'docs', 'e2e', 'experiments', 'kernel', 'notebooks', 'recipes', 'setup']);

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.test.ts') && !file.startsWith('fixtures'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => path.join('test', file).includes(part)))
  .sort();

if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(' ')}.`);
  process.exit(2);
}

const isAlone = (file) => ALONE.has(file.split(path.sep)[0]);
const totals = { passed: 0, failed: 0 };
let code = 0;
let child;
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true;
    child?.kill(signal);
  });
}
await runFiles(
  files.filter((file) => !isAlone(file)),
  2,
);
await runFiles(files.filter(isAlone), 1);
console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
process.exit(code);

/** Runs test files, `concurrency` at a time. What the reporter counts is added to the totals. */
async function runFiles(files, concurrency) {
  if (files.length === 0 || stopped) return;
  const reporter = path.join(here, 'support', 'reporter.mjs');
  const options = ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, '--test-reporter', reporter];
  child = spawn(process.execPath, [...options, ...files.map((file) => path.join(here, file))], {
    cwd: path.dirname(here),
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.on('exit', (status, signal) => resolve(signal ? 1 : status)));
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const counts = /^(\d+) passed, (\d+) failed$/.exec(line);
    if (!counts) console.log(line);
    else {
      totals.passed += Number(counts[1]);
      totals.failed += Number(counts[2]);
    }
  }
  code ||= await ended;
}
