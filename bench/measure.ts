// Runs a row on all sides, interleaved: a round of ours, a round of each peer's, and so on, each in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { VitlabError } from '../src/errors.js';
import { MATMULS, type Row } from './rows.js';

/** What one side measured. */
interface SideFigures {
  /** Median milliseconds of each round. */
  rounds: readonly number[];
  /** The first run, with whatever it prepares. */
  firstMs: number;
  /** Largest resident memory of its process. */
  peakMB: number;
}

export interface Measurement {
  name: string;
  /** Median milliseconds. */
  ours: number;
  /** PyTorch, eager. */
  peer: number | null;
  /**
   * How many times as fast as the peer; above 1 is faster. This and the other ratios are medians of those of the rounds: a
   * machine's speed swings, and the sides of a round are neighbours in time.
   */
  ratio: number | null;
  /** The same against torch.compile. */
  compiled: number | null;
  compiledRatio: number | null;
  /**
   * Of the machine's matrix product in the same precision, the faster of ours and PyTorch's; null where the row has no
   * count of operations.
   */
  fractionOfPeak: number | null;
  gflops: number | null;
  /** Of a tuned model: our time as a share of training the whole of it. */
  ofWhole: number | null;
  firstMs: number;
  peerFirstMs: number | null;
  compiledFirstMs: number | null;
  peakMB: number;
  peerPeakMB: number | null;
  compiledPeakMB: number | null;
  /** Where the first step is measured: milliseconds of an eager one, and megabytes of the graph. */
  eagerMs?: number;
  graphMB?: number;
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

  get pid(): number | undefined {
    return this.child.pid;
  }

  stop(): void {
    this.child.kill();
  }
}

/** One side of a row, with what it measured so far. */
class Contestant {
  /** Median milliseconds of each round. */
  readonly rounds: number[] = [];
  ready!: Ready;

  private constructor(private readonly side: Side) {}

  static start(command: string, args: string[], cwd = process.cwd()): Contestant {
    return new Contestant(new Side(spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] })));
  }

  async prepare(row: Row, folder: string): Promise<void> {
    this.ready = await this.side.ask<Ready>({ row, folder });
  }

  async round(): Promise<void> {
    const rounds = Math.min(MAX_RUNS, Math.ceil(ROUND_MS / this.ready.secondMs));
    this.rounds.push(median((await this.side.ask<{ ms: number[] }>({ rounds })).ms));
  }

  async figures(): Promise<SideFigures> {
    const { peakBytes } = await this.side.ask<{ peakBytes: number }>({ end: true });
    return { rounds: this.rounds, firstMs: this.ready.firstMs, peakMB: peakBytes / 2 ** 20 };
  }

  /** Its process. */
  get pid(): number | undefined {
    return this.side.pid;
  }

  stop(): void {
    this.side.stop();
  }
}

/** Our side. */
export function ours(): Contestant {
  // node looks for tsx from the folder that it works in
  return Contestant.start(process.execPath, ['--import', 'tsx', path.join(__dirname, 'worker.ts')], __dirname);
}

/** Short runs are repeated within a round, up to this long and this often. */
const ROUND_MS = 250;
const MAX_RUNS = 8;

export interface MeasureOptions {
  /** A Python with torch and timm. */
  torch?: string;
  /** Whether torch.compile is a peer too. */
  compile: boolean;
  rounds: number;
  /** Where the images of data rows are. */
  folder: string;
}

interface Ready {
  firstMs: number;
  secondMs: number;
  flops?: number;
  eagerMs?: number;
  graphBytes?: number;
}

/** Measures one row. */
export async function measure(row: Row, options: MeasureOptions): Promise<Measurement> {
  const { torch, rounds, folder } = options;
  const script = [path.join(__dirname, 'peer.py'), String(os.availableParallelism())];
  const peers = row.kind === 'first' || !torch ? 0 : options.compile && 'model' in row ? 2 : 1;
  const peer = (...more: string[]): Contestant => Contestant.start(torch!, [...script, ...more]);
  const sides = [ours()];
  if (peers > 0) sides.push(peer());
  if (peers > 1) sides.push(peer('compile'));
  // a machine's speed swings, so what a row is a share of is measured in the same rounds
  const whole = 'model' in row ? row.whole : undefined;
  const reference = whole && ours();
  const product = 'model' in row && !row.tuning ? MATMULS[row.precision] : undefined;
  const yardsticks = product ? [ours(), ...(torch ? [peer()] : [])] : [];
  const all = [...sides, ...yardsticks, ...(reference ? [reference] : [])];
  try {
    // one after the other, so that none is disturbed while its first run is timed
    for (const side of sides) await side.prepare(row, folder);
    for (const yardstick of yardsticks) await yardstick.prepare(product!, folder);
    await reference?.prepare(whole!, folder);
    for (let round = 0; round < rounds; round++) for (const one of all) await one.round();
    const figures: SideFigures[] = [];
    for (const side of sides) figures.push(await side.figures());
    const { flops = 0, eagerMs, graphBytes } = sides[0]!.ready;
    const times = figures[0]!.rounds;
    const products = Array.from({ length: rounds }, (_, i) => Math.min(...yardsticks.map((one) => one.rounds[i]!)));
    return {
      ...inRow(row.name, figures),
      fractionOfPeak:
        product && flops ? round((share(products, times) * flops) / yardsticks[0]!.ready.flops!, 3) : null,
      gflops: flops ? round(flops / median(times) / 1e6, 1) : null,
      ofWhole: reference ? round(share(times, reference.rounds), 3) : null,
      ...(eagerMs === undefined ? {} : { eagerMs: round(eagerMs, 0) }),
      ...(graphBytes === undefined ? {} : { graphMB: round(graphBytes / 2 ** 20, 2) }),
      rounds,
    };
  } finally {
    for (const one of all) one.stop();
  }
}

/** What compares the sides of a row. */
function inRow(name: string, [ours, peer, compiled]: readonly SideFigures[]) {
  const { rounds, firstMs, peakMB } = ours!;
  const rounded = (value: number | undefined, digits: number) => (value === undefined ? null : round(value, digits));
  const ms = (other: SideFigures | undefined) => rounded(other && median(other.rounds), 2);
  const ratio = (other: SideFigures | undefined) => rounded(other && share(other.rounds, rounds), 3);
  return {
    name,
    ours: round(median(rounds), 2),
    peer: ms(peer),
    ratio: ratio(peer),
    compiled: ms(compiled),
    compiledRatio: ratio(compiled),
    firstMs: round(firstMs, 0),
    peerFirstMs: rounded(peer?.firstMs, 0),
    compiledFirstMs: rounded(compiled?.firstMs, 0),
    peakMB: round(peakMB, 0),
    peerPeakMB: rounded(peer?.peakMB, 0),
    compiledPeakMB: rounded(compiled?.peakMB, 0),
  };
}

/** The median of one side's times as shares of another's, round by round. */
const share = (times: readonly number[], others: readonly number[]): number =>
  median(times.map((ms, i) => ms / others[i]!));

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));
