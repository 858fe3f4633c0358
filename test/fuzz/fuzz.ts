// Damaged checkpoint files by the thousand: each must be read, or refused with the typed error, in bounded memory and
// time. Everything follows from the seed.
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import {
  type CheckpointFormat,
  elementCount,
  inspectCheckpoint,
  isTensor,
  loadCheckpoint,
  loadTorch,
  type TensorData,
  ZipArchive,
} from '../../src/checkpoint/index.js';
import { leaves } from '../../src/checkpoint/torchState.js';
import { CheckpointError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';
import { makeZip } from '../support/zip.js';

const golden = path.join(__dirname, '..', 'fixtures', 'golden', 'checkpoints');

/** No file may take longer; far above what the largest takes, so that a loaded machine does not matter. */
const limitMs = 10_000;
/** No file may make the process grow by more. */
const limitBytes = 2 ** 29;

export interface FuzzReport {
  seed: number;
  rounds: number;
  limits: { milliseconds: number; bytes: number };
  /** How many damaged files of each format could still be read, and how many were refused. */
  outcomes: Record<string, { read: number; refused: number }>;
  /** What should not have happened. */
  failures: string[];
}

interface Sample {
  name: string;
  format: CheckpointFormat;
  bytes: Buffer;
  /** The parts of an archive, to be damaged before they are packed, so that the checksums fit. */
  parts?: Array<{ name: string; bytes: Buffer }>;
}

/** Damages `rounds` files one after the other; `place` is where they are written. */
export async function fuzz(seed: number, rounds: number, place: string): Promise<FuzzReport> {
  const samples = await loadSamples();
  const report: FuzzReport = {
    seed,
    rounds,
    limits: { milliseconds: limitMs, bytes: limitBytes },
    outcomes: {},
    failures: [],
  };
  for (let round = 0; round < rounds; round++) {
    const rng = new Rng(seed, 'fuzz', round);
    const sample = samples[rng.integer(samples.length)]!;
    fs.writeFileSync(place, damageSample(sample, samples, rng));
    const fail = (what: string) => report.failures.push(`round ${round}, ${sample.name}: ${what}`);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const outcomes = await Promise.all([attempt(() => readAll(place)), attempt(() => inspectCheckpoint(place))]);
    if (performance.now() - start > limitMs) fail(`took more than ${limitMs} ms`);
    if (process.memoryUsage().rss - before > limitBytes) fail(`took more than ${limitBytes} bytes`);
    for (const error of outcomes) {
      if (error !== undefined && !(error instanceof CheckpointError)) fail(`not a typed error: ${String(error)}`);
    }
    report.outcomes[sample.format] ??= { read: 0, refused: 0 };
    const count = report.outcomes[sample.format]!;
    if (outcomes[0] === undefined) count.read++;
    else count.refused++;
  }
  return report;
}

async function loadSamples(): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const folder of fs.readdirSync(golden).sort()) {
    for (const name of fs.readdirSync(path.join(golden, folder)).sort()) {
      const file = path.join(golden, folder, name);
      const format = { '.pth': 'torch', '.npz': 'npz', '.safetensors': 'safetensors' }[path.extname(name)];
      if (!format || /refuse|edge/.test(folder)) continue;
      const sample: Sample = {
        name: `${folder}/${name}`,
        format: format as CheckpointFormat,
        bytes: fs.readFileSync(file),
      };
      samples.push(sample);
      if (sample.bytes.toString('latin1', 0, 2) !== 'PK') continue;
      const archive = await ZipArchive.open(file);
      const parts = [];
      for (const part of archive.names) parts.push({ name: part, bytes: archive.read(part) });
      archive.close();
      samples.push({ ...sample, name: `${sample.name} inside`, parts });
    }
  }
  return samples;
}

/** Reads everything and checks that each tensor has the elements of its shape. */
async function readAll(file: string): Promise<void> {
  const tensors: TensorData[] = Object.values(await loadCheckpoint(file).catch(onlyWithoutState));
  if (tensors.length === 0 && fs.readFileSync(file).toString('latin1', 0, 2) === 'PK') {
    for (const [, value] of leaves(await loadTorch(file))) if (isTensor(value)) tensors.push(value);
  }
  for (const { shape, data } of tensors) {
    if (elementCount(shape) !== data.length) throw new Error(`[${shape}] holds ${data.length} elements`);
  }
}

/** A sound file without a state dict is no failure of reading. */
function onlyWithoutState(error: Error): Record<string, TensorData> {
  if (/holds no dictionary of tensors/.test(error.message)) return {};
  throw error;
}

async function attempt(act: () => Promise<unknown>): Promise<unknown> {
  try {
    await act();
    return undefined;
  } catch (error) {
    return error;
  }
}

function damageSample(sample: Sample, samples: readonly Sample[], rng: Rng): Buffer {
  if (!sample.parts) return damage(sample.bytes, samples[rng.integer(samples.length)]!.bytes, rng);
  const at = rng.integer(sample.parts.length);
  // The pickle decides what is built, so it is damaged most often.
  const chosen = rng.integer(2)
    ? Math.max(
        0,
        sample.parts.findIndex(({ name }) => name.endsWith('.pkl')),
      )
    : at;
  const other = sample.parts[rng.integer(sample.parts.length)]!.bytes;
  const deflate = rng.integer(2) === 1;
  return makeZip(
    sample.parts.map(({ name, bytes }, i) => ({
      name,
      bytes: i === chosen ? damage(bytes, other, rng) : bytes,
      deflate,
    })),
  );
}

const numbers = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  2n ** 40n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

/** One to four changes: bits, bytes, numbers that overflow, pieces cut, doubled, or taken from another file. */
function damage(original: Buffer, other: Buffer, rng: Rng): Buffer {
  let bytes = Buffer.from(original);
  for (let changes = 1 + rng.integer(4); changes > 0; changes--) {
    if (bytes.length === 0) return bytes;
    const at = rng.integer(bytes.length);
    const end = Math.min(bytes.length, at + 1 + rng.integer(64));
    switch (rng.integer(7)) {
      case 0:
        bytes[at]! ^= 1 << rng.integer(8);
        break;
      case 1:
        bytes[at] = rng.integer(256);
        break;
      case 2: {
        const number = Buffer.alloc(8);
        number.writeBigUInt64LE(numbers[rng.integer(numbers.length)]!);
        number.copy(bytes, at, 0, [1, 2, 4, 8][rng.integer(4)]);
        break;
      }
      case 3:
        bytes = bytes.subarray(0, at);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        break;
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
        break;
      default: {
        const from = rng.integer(other.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + 64), bytes.subarray(at)]);
      }
    }
  }
  return bytes;
}
