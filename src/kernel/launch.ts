// Starts a kernel's process from its kernelspec, and ends it together with its children.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { KernelError } from './errors.js';

const LOOPBACK = '127.0.0.1';
const MAX_STDERR = 16_384;
const CHANNELS = ['shell', 'iopub', 'stdin', 'control', 'hb'] as const;
type Channel = (typeof CHANNELS)[number];

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

/** The addresses and the key of a kernel, as its connection file holds them. */
export type Connection = { key: string; address: (channel: Channel) => string };

export type LaunchOptions = {
  specDir: string;
  cwd: string;
  env: NodeJS.ProcessEnv;
  connectionDir: string;
};

/** A kernel's process. Its connection file exists as long as it does. */
export class KernelProcess {
  readonly connection: Connection;
  /** Resolves when the process has ended. */
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  readonly #child: ChildProcess;
  readonly #file: string;
  #stderr = '';
  readonly #endWithUs = () => this.kill();

  /** Throws KernelError where the kernelspec cannot be read. */
  static async launch(options: LaunchOptions): Promise<KernelProcess> {
    const ports = await freePorts(CHANNELS.length);
    return new KernelProcess(options, Object.fromEntries(CHANNELS.map((name, i) => [name, ports[i]!])));
  }

  private constructor({ specDir, cwd, env, connectionDir }: LaunchOptions, ports: Record<string, number>) {
    const { argv, env: specEnv } = readSpec(specDir);
    const key = randomUUID();
    this.#file = path.join(connectionDir, `vitlab-kernel-${randomUUID()}.json`);
    this.connection = { key, address: (channel) => `tcp://${LOOPBACK}:${ports[channel]}` };
    const connection = {
      transport: 'tcp',
      ip: LOOPBACK,
      signature_scheme: 'hmac-sha256',
      key,
      ...Object.fromEntries(CHANNELS.map((name) => [`${name}_port`, ports[name]])),
    };
    writeFileSync(this.#file, JSON.stringify(connection), { mode: 0o600, flag: 'wx' });
    const substitutes: Record<string, string> = { '{connection_file}': this.#file, '{resource_dir}': specDir };
    const [command, ...args] = argv.map((word) =>
      word.replace(/\{connection_file\}|\{resource_dir\}/g, (name) => substitutes[name]!),
    );
    // A process group of its own, as Jupyter gives it one: Ctrl-C in a terminal is the client's matter.
    this.#child = spawn(command!, args, {
      cwd,
      env: { ...env, ...specEnv, JPY_PARENT_PID: String(process.pid) },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-MAX_STDERR);
    });
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.exit = exit;
        rmSync(this.#file, { force: true });
        process.off('exit', this.#endWithUs);
        resolve(exit);
      };
      this.#child.once('close', (code, signal) => end({ code, signal }));
      this.#child.once('error', (error) => {
        this.#stderr += error.message;
        if (this.#child.pid === undefined) end({ code: null, signal: null });
      });
    });
    process.on('exit', this.#endWithUs);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last that the process itself wrote on stderr (cells' stderr is not among it). */
  get stderr(): string {
    return this.#stderr.trim();
  }

  /** Sends a signal to the kernel and its children, as Jupyter does. */
  signal(name: NodeJS.Signals): void {
    if (this.exit || this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  kill(): void {
    this.signal('SIGKILL');
    rmSync(this.#file, { force: true });
  }
}

function readSpec(specDir: string): { argv: string[]; env: Record<string, string> } {
  const file = path.join(specDir, 'kernel.json');
  try {
    const spec = JSON.parse(readFileSync(file, 'utf8'));
    if (Array.isArray(spec.argv) && spec.argv.length > 0) return { argv: spec.argv, env: spec.env ?? {} };
  } catch (cause) {
    throw new KernelError(`${file} cannot be read as a kernelspec: ${(cause as Error).message}`, { cause });
  }
  throw new KernelError(`${file} names no command: a kernelspec needs "argv", an array of words.`);
}

async function freePorts(count: number): Promise<number[]> {
  const open = () =>
    new Promise<Server>((resolve, reject) => {
      const server = createServer().once('error', reject);
      server.listen(0, LOOPBACK, () => resolve(server));
    });
  // All are held at once, so that they differ.
  const servers = await Promise.all(Array.from({ length: count }, open));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
