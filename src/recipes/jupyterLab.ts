// Starts the project's JupyterLab: on loopback, behind a random token, with folders of its own under .vitlab/.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { UsageError, VitlabError } from '../errors.js';
import { ROOT } from './provenance.js';

const HOST = '127.0.0.1';
const DEFAULT_PORT = 8888;
const READY_MS = 60_000;
const POLL_MS = 200;
/** What ends the command, closing its terminal included. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface JupyterLab {
  /** With the token: whoever has it can run code as the user. */
  readonly url: string;
  readonly logFile: string;
  readonly child: ChildProcess;
  /** Resolves with the exit code when the server has ended. */
  readonly ended: Promise<number>;
}

/** Starts a server and waits until it answers. `port`: default 8888, or a free one. @throws VitlabError, UsageError. */
export async function startJupyterLab(port?: number): Promise<JupyterLab> {
  const program = path.join(ROOT, '.venv', 'bin', 'jupyter-lab');
  if (!fs.existsSync(program)) {
    throw new VitlabError(`JupyterLab is not installed (${program}). Run the set-up first: node setup.mjs`);
  }
  const chosen = await choosePort(port);
  const home = path.join(ROOT, '.vitlab', 'jupyter');
  const folder = (name: string) => path.join(home, name);
  for (const name of ['config', 'data', 'runtime', 'settings', 'workspaces']) {
    fs.mkdirSync(folder(name), { recursive: true, mode: 0o700 });
  }
  writeDefaultSettings(folder('settings'));
  const token = randomBytes(24).toString('hex');
  const logFile = folder('lab.log');
  const log = fs.openSync(logFile, 'w', 0o600);
  // In a group of its own it would outlive a Ctrl-C that comes before the caller listens for one.
  let abandoned = false;
  const abandon = () => {
    abandoned = true;
    child.kill('SIGTERM');
  };
  for (const signal of STOP_SIGNALS) process.on(signal, abandon);
  const child = spawn(
    program,
    [
      '--no-browser',
      // Interrupted, it ends without asking on a terminal that it does not have.
      '-y',
      `--ip=${HOST}`,
      `--port=${chosen}`,
      '--ServerApp.port_retries=0',
      `--ServerApp.root_dir=${ROOT}`,
      `--LabApp.user_settings_dir=${folder('settings')}`,
      `--LabApp.workspaces_dir=${folder('workspaces')}`,
      '--LabApp.extension_manager=readonly',
      '--MultiKernelManager.default_kernel_name=tslab',
      ...(process.getuid?.() === 0 ? ['--allow-root'] : []),
    ],
    {
      cwd: ROOT,
      // A process group of its own: Ctrl-C in the terminal is passed on once, not twice.
      detached: true,
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        PATH: [path.dirname(process.execPath), process.env['PATH']].join(path.delimiter),
        // In the environment rather than an argument: the list of processes is public.
        JUPYTER_TOKEN: token,
        JUPYTER_PATH: path.join(ROOT, 'kernel', 'jupyter'),
        JUPYTER_CONFIG_DIR: folder('config'),
        JUPYTER_DATA_DIR: folder('data'),
        JUPYTER_RUNTIME_DIR: folder('runtime'),
      },
    },
  );
  fs.closeSync(log);
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)));
  });
  try {
    await ready(chosen, token, ended, logFile);
  } catch (error) {
    child.kill('SIGKILL');
    throw abandoned ? new VitlabError('JupyterLab was stopped before it answered.') : error;
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, abandon);
  }
  return { url: `http://${HOST}:${chosen}/lab?token=${token}`, logFile, child, ended };
}

async function ready(port: number, token: string, ended: Promise<number>, logFile: string): Promise<void> {
  let code: number | undefined;
  void ended.then((value) => {
    code = value;
  });
  for (const end = Date.now() + READY_MS; Date.now() < end; ) {
    if (code !== undefined) {
      const said = fs.readFileSync(logFile, 'utf8').trim().split('\n').slice(-3).join(' ');
      throw new VitlabError(`JupyterLab ended with exit code ${code} before it answered. It said: ${said}`);
    }
    const answer = await fetch(`http://${HOST}:${port}/api/status`, {
      headers: { authorization: `token ${token}` },
    }).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new VitlabError(`JupyterLab did not answer within ${READY_MS / 1000} s; its log is ${logFile}.`);
}

async function choosePort(wanted: number | undefined): Promise<number> {
  const chosen = await listenOnce(wanted ?? DEFAULT_PORT);
  if (chosen !== undefined) return chosen;
  if (wanted !== undefined) throw new UsageError(`Port ${wanted} is in use: give another --port, or none.`);
  const free = await listenOnce(0);
  if (free === undefined) throw new VitlabError(`No port is free on ${HOST}.`);
  return free;
}

/** The port if it can be listened on (0: any), or undefined. */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(undefined));
    server.listen(port, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}

/** No questions and no news from the network; what the user has set since stays. */
function writeDefaultSettings(folder: string): void {
  const file = path.join(folder, '@jupyterlab', 'apputils-extension', 'notification.jupyterlab-settings');
  if (fs.existsSync(file)) return;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, JSON.stringify({ fetchNews: 'false', checkForUpdates: false }));
}
