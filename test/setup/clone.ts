// A clone in a temporary folder whose tools are fakes: the real set-up runs in it, but nothing is downloaded.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = path.resolve(__dirname, '../..');

export interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

export interface RunOptions {
  args?: string[];
  env?: Record<string, string>;
  nodeArgs?: string[];
}

export class FakeClone {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'vitlab-setup-'));
  readonly #children = new Set<ChildProcess>();
  readonly #hung: number[] = [];

  /** `tools`: which of the fake tools are in PATH. */
  constructor(tools = ['npm', 'python3', 'c++']) {
    for (const part of ['setup.mjs', 'setup', 'requirements', 'native']) {
      cpSync(path.join(root, part), path.join(this.folder, part), { recursive: true });
    }
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) this.write(file, '{}');
    this.write('setup/smoke.cjs', "require('node:fs').appendFileSync('calls', 'smoke\\n');");
    const fake = readFileSync(path.join(__dirname, 'tools/fake.cjs'), 'utf8');
    for (const tool of tools) {
      this.write(`bin/${tool}`, `#!${process.execPath}\n${fake}`);
      chmodSync(this.at(`bin/${tool}`), 0o755);
    }
  }

  at(file: string): string {
    return path.join(this.folder, file);
  }

  has(file: string): boolean {
    return existsSync(this.at(file));
  }

  read(file: string): string {
    return readFileSync(this.at(file), 'utf8');
  }

  write(file: string, content: string): void {
    mkdirSync(path.dirname(this.at(file)), { recursive: true });
    writeFileSync(this.at(file), content);
  }

  /** What the fake tools were asked to do since the last time, in order. */
  calls(): string[] {
    const calls = this.has('calls') ? this.read('calls').trim().split('\n') : [];
    rmSync(this.at('calls'), { force: true });
    return calls;
  }

  /** Starts `node setup.mjs`, by default with --cpu, whatever machine this is. */
  start({ args = ['--cpu'], env = {}, nodeArgs = [] }: RunOptions = {}): {
    child: ChildProcess;
    end: Promise<Outcome>;
  } {
    const child = spawn(process.execPath, [...nodeArgs, 'setup.mjs', ...args], {
      cwd: this.folder,
      env: { PATH: this.at('bin'), HOME: this.folder, FAKE_CLONE: this.folder, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    const outcome: Outcome = { code: null, out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      outcome.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      outcome.err += text;
    });
    const end = new Promise<Outcome>((resolve) => {
      child.on('close', (code) => {
        this.#children.delete(child);
        resolve({ ...outcome, code });
      });
    });
    return { child, end };
  }

  run(options?: RunOptions): Promise<Outcome> {
    return this.start(options).end;
  }

  /** Waits until the fake tool that was told to hang has begun to; returns its process id. */
  async hanging(): Promise<number> {
    while (!this.has('hanging')) await sleep(20);
    const pid = Number(this.read('hanging'));
    rmSync(this.at('hanging'));
    this.#hung.push(pid);
    return pid;
  }

  /** The flags of set-ups at work. */
  flags(): string[] {
    const folder = '.vitlab/setup/lock';
    return this.has(folder) ? readdirSync(this.at(folder)).filter((name) => !name.endsWith('.tmp')) : [];
  }

  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const pid of this.#hung) {
      const command = `/proc/${pid}/cmdline`;
      if (existsSync(command) && readFileSync(command, 'utf8').includes(this.folder)) process.kill(pid, 'SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Waits until a process is gone (a zombie counts as gone). */
export async function isGone(pid: number): Promise<boolean> {
  for (let attempt = 0; attempt < 250; attempt++) {
    const stat = `/proc/${pid}/stat`;
    if (!existsSync(stat) || / Z /.test(readFileSync(stat, 'utf8'))) return true;
    await sleep(20);
  }
  return false;
}
