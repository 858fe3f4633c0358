// Where the time of a row goes: its processor samples by what they compute, as shares of all. Needs Linux's `perf`.
// `node --import tsx bench/profile.ts out.json 'train ViT-B*bf16' 'train Swin-T*'`
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { matches } from '../src/cli/glob.js';
import { UsageError, VitlabError } from '../src/errors.js';
import { machine } from './machine.js';
import { median, ours, round } from './measure.js';
import { type ModelRow, SUITES } from './rows.js';

/** What samples are of, by the names of functions and, where code was made while it ran, as oneDNN's is, of its file. */
const PARTS: Readonly<Record<string, RegExp>> = {
  products: /\[JIT\]|dnnl::|productBlock|packStrip|::finish\b|TensorContraction/,
  attention: /attention|::(tile<|columns<|product\b|(un)?pack\b|multiplyPairs|pairRows|softmax|transpose)/i,
  gelu: /::gelu/,
  'layer norm': /::layerNorm/,
  'biases and their gradients': /columnSum|biasAdd|BiasAdd/,
  depthwise: /depthwise|::(convolve|correlate)</i,
  dropout: /dropout/i,
  update: /::(adam|momentum)\b/,
};

/** The part that a sample belongs to, by its file and function. */
export const partOf = (sample: string): string =>
  Object.entries(PARTS).find(([, names]) => names.test(sample))?.[0] ?? 'the rest';

/** Milliseconds of a run, and the share of each part in the samples of `seconds` of runs. */
async function profile(row: ModelRow, seconds: number): Promise<{ ms: number; shares: Record<string, number> }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-profile-'));
  const samples = path.join(folder, 'samples');
  const side = ours();
  try {
    await side.prepare(row, folder);
    const recording = spawn('perf', ['record', '--freq', '499', '--output', samples, '--pid', String(side.pid)], {
      stdio: 'ignore',
    });
    const ended = new Promise((resolve, reject) => recording.once('exit', resolve).once('error', reject));
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) await side.round();
    recording.kill('SIGINT');
    await ended;
    const report = ['report', '--input', samples, '--fields', 'sample,dso,sym', '--field-separator', '\t'];
    const { stdout, stderr, status } = spawnSync('perf', report, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (status !== 0)
      throw new VitlabError(`perf could not read what it recorded: ${stderr.trim().split('\n').at(-1)}`);
    const counts = new Map<string, number>();
    let all = 0;
    for (const line of stdout.split('\n')) {
      const count = Number.parseInt(line, 10);
      if (line.startsWith('#') || Number.isNaN(count)) continue;
      counts.set(partOf(line), (counts.get(partOf(line)) ?? 0) + count);
      all += count;
    }
    const ordered = [...counts].sort(([, a], [, b]) => b - a);
    const shares = Object.fromEntries(ordered.map(([part, count]) => [part, round(count / all, 3)]));
    return { ms: round(median(side.rounds), 1), shares };
  } finally {
    side.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const [out, ...globs] = process.argv.slice(2);
  if (!out || globs.length === 0) throw new UsageError('Name the file to write, and patterns of rows to profile.');
  const named = ({ name }: { name: string }): boolean => globs.some((glob) => matches(glob, name));
  const rows: object[] = [];
  for (const row of [...SUITES.train, ...SUITES.infer].filter(named)) {
    if (!('model' in row)) continue;
    const result = { name: row.name, ...(await profile(row, 8)) };
    rows.push(result);
    console.log(JSON.stringify(result));
  }
  const command = `node --import tsx bench/profile.ts ${[out, ...globs].map((word) => `'${word}'`).join(' ')}`;
  fs.writeFileSync(out, `${JSON.stringify({ command, machine: machine(), rows }, undefined, 2)}\n`);
}

if (require.main === module) void main();
