// Runs the tests: `node test/run.mjs [path-part…]`. Every *.test.ts below test/ is one process (one TensorFlow each);
// the last line is `N passed, N failed`.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.test.ts') && !file.startsWith('fixtures'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => path.join('test', file).includes(part)))
  .sort()
  .map((file) => path.join(here, file));

if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(' ')}.`);
  process.exit(2);
}

const child = spawn(
  process.execPath,
  ['--import', 'tsx', '--test', '--test-reporter', path.join(here, 'support', 'reporter.mjs'), ...files],
  { cwd: path.dirname(here), stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
