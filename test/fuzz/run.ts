// `node --import tsx test/fuzz/run.ts [--seed N] [--rounds N] [--out FILE]`: damages checkpoint files and reads them.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '20000' },
    out: { type: 'string' },
  },
});

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-fuzz-'));
fuzz(Number(values.seed), Number(values.rounds), path.join(folder, 'damaged'))
  .then((report) => {
    const text = `${JSON.stringify(report, undefined, 2)}\n`;
    if (values.out) fs.writeFileSync(values.out, text);
    process.stdout.write(text);
    process.exitCode = report.failures.length > 0 ? 1 : 0;
  })
  .finally(() => fs.rmSync(folder, { recursive: true, force: true }));
