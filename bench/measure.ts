// Runs a row on both sides, interleaved: a round of ours, a round of the peer's, and so on, each in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { VitlabError } from '../src/errors.js';
import type { Row } from './rows.js';

export interface Measurement {
  name: string;
  /** Median milliseconds. */
  ours: number;
  peer: number | null;
  /** How many times as fast as the peer; above 1 is faster. */
  ratio: number | null;
  /** Of the machine's matrix product in the same precision; null where the row has no count of operations. */
  fractionOfPeak: number | null;
  gflops: number | null;
  firstMs: number;
  peerFirstMs: number | null;
  peakMB: number;
  peerPeakMB: number | null;
  rounds: number;
}

/** A worker process that answers each JSON line with one. */
class Side {
  private readonly lines: AsyncIterator<string>;
  private readonly errors: string[] = [];

  constructor(private readonly child: ChildProcess) {
    this.lines = readline.createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    child.stderr!.on('data', (text: Buffer) => this.errors.push(text.toString()));
    // a program that is not there, or ends while it is written to: said by `ask`, which finds its output at an end
    child.on('error', (error) => this.errors.push(error.message));
    child.stdin!.on('error', () => {});
  }

  async ask<T>(message: object): Promise<T> {
    this.child.stdin!.write(`${JSON.stringify(message)}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new VitlabError(`A benchmark process ended early: ${this.reason()}`);
    return JSON.parse(value) as T;
  }

  /** The line of its output that names the error, or the last one. */
  private reason(): string {
    const lines = this.errors.join('').trim().split('\n');
    return lines.find((line) => /^\w*(Error|Exception)\b/.test(line)) ?? lines.at(-1)!;
  }

  stop(): void {
    this.child.kill();
  }
}

const start = (command: string, args: string[], cwd = process.cwd()): Side =>
  new Side(spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] }));

export interface MeasureOptions {
  /** A Python with torch and timm. */
  torch?: string;
  rounds: number;
  /** Where the images of data rows are. */
  folder: string;
}

interface Ready {
  firstMs: number;
  flops?: number;
}

/** Measures one row. `peak`: operations a second of the matrix product in the row's precision. */
export async function measure(
  row: Row,
  options: MeasureOptions,
  peak?: number,
): Promise<Measurement & { flops: number }> {
  const { torch, rounds, folder } = options;
  // node looks for tsx from the folder that it works in
  const ours = start(process.execPath, ['--import', 'tsx', path.join(__dirname, 'worker.ts')], __dirname);
  const peer = torch ? start(torch, [path.join(__dirname, 'peer.py'), String(os.availableParallelism())]) : undefined;
  try {
    const ready = await ours.ask<Ready>({ row, folder });
    const peerReady = await peer?.ask<Ready>({ row, folder });
    const times: number[] = [];
    const peerTimes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      times.push(...(await ours.ask<{ ms: number[] }>({ rounds: 1 })).ms);
      if (peer) peerTimes.push(...(await peer.ask<{ ms: number[] }>({ rounds: 1 })).ms);
    }
    const { peakBytes } = await ours.ask<{ peakBytes: number }>({ end: true });
    const peerPeak = await peer?.ask<{ peakBytes: number }>({ end: true });
    const ms = median(times);
    const peerMs = peer ? median(peerTimes) : null;
    const flops = ready.flops ?? 0;
    const speed = flops / ms / 1e6;
    return {
      name: row.name,
      ours: round(ms, 2),
      peer: peerMs === null ? null : round(peerMs, 2),
      ratio: peerMs === null ? null : round(peerMs / ms, 3),
      fractionOfPeak: peak && flops ? round((1e9 * speed) / peak, 3) : null,
      gflops: flops ? round(speed, 1) : null,
      firstMs: round(ready.firstMs, 0),
      peerFirstMs: peerReady ? round(peerReady.firstMs, 0) : null,
      peakMB: round(peakBytes / 2 ** 20, 0),
      peerPeakMB: peerPeak ? round(peerPeak.peakBytes / 2 ** 20, 0) : null,
      rounds,
      flops,
    };
  } finally {
    ours.stop();
    peer?.stop();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
