// JupyterLab as `vitlab lab` starts it, and a headless Chromium that works in it. Everything ends with `stop`.
import fs from 'node:fs';
import path from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { ROOT, type Running, startCli, temporaryFolder } from '../recipes/support.js';
import { alive, until } from '../support/processes.js';

const START_MS = 120_000;
/** Long enough for a first compile of all of `src` on a machine that is busy with other things. */
export const WAIT_MS = 300_000;
const STOP_MS = 60_000;
const CHROMIUM = process.env['CHROMIUM'] || '/usr/bin/chromium';

/** The settings of the tests: the page's application can be reached, and slow answers are waited for. */
const CONFIG = {
  'jupyter_server_config.json': { LabApp: { expose_app_in_browser: true } },
  'labconfig/default_setting_overrides.json': {
    '@jupyterlab/completer-extension:manager': { providerTimeout: WAIT_MS },
  },
};

/** What is used of `window.jupyterapp`. */
interface JupyterApp {
  readonly commands: { execute(id: string, args?: object): Promise<unknown> };
  readonly shell: { readonly currentWidget: NotebookPanel | null };
}
interface NotebookPanel {
  readonly context: { readonly path: string };
  readonly content: {
    activeCellIndex: number;
    readonly widgets: readonly { readonly model: { toJSON(): Cell } }[];
  };
  readonly sessionContext: { readonly isReady: boolean; readonly session?: { readonly kernel?: { status: string } } };
}
export interface Cell {
  readonly cell_type: string;
  readonly source: string;
  readonly execution_count?: number | null;
  readonly outputs?: readonly CellOutput[];
}
export interface CellOutput {
  readonly output_type: string;
  readonly name?: string;
  readonly text?: string | readonly string[];
  readonly data?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly ename?: string;
}

declare global {
  interface Window {
    jupyterapp?: JupyterApp;
  }
}

/** A server and a browser, until `stop`. */
export class Lab {
  /** Whatever the browser had to complain of since a notebook was opened: errors on the console and in scripts, requests to other machines. */
  readonly complaints: string[] = [];
  private readonly workspaces = new Set<string>();

  private constructor(
    /** As `vitlab lab` prints it, with the token. */
    readonly url: string,
    readonly logFile: string,
    private readonly server: Running,
    private readonly config: { readonly remove: () => void },
    private readonly context: BrowserContext,
  ) {}

  static async start(): Promise<Lab> {
    if (!fs.existsSync(CHROMIUM)) {
      throw new Error(`No Chromium at ${CHROMIUM}: apt-get install chromium fonts-dejavu-core, or set CHROMIUM.`);
    }
    const config = temporaryFolder();
    for (const [name, content] of Object.entries(CONFIG)) {
      fs.mkdirSync(path.dirname(path.join(config.dir, name)), { recursive: true });
      fs.writeFileSync(path.join(config.dir, name), JSON.stringify(content));
    }
    const server = startCli(['lab'], { env: { JUPYTER_CONFIG_PATH: config.dir } });
    // Where the tests are stopped from outside, no `after` runs.
    process.once('exit', () => {
      server.child.kill('SIGINT');
      config.remove();
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
    try {
      const [, url, logFile] = await server.said(/JupyterLab: (\S+)\nLog: (.+)\n/);
      const browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu'],
        timeout: START_MS,
      });
      const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
      context.setDefaultTimeout(WAIT_MS);
      const lab = new Lab(url!, logFile!, server, config, context);
      await lab.listen();
      return lab;
    } catch (error) {
      await stopServer(server);
      config.remove();
      throw error;
    }
  }

  async stop(): Promise<void> {
    try {
      await this.context.browser()?.close();
      await Promise.all([...this.workspaces].map((name) => this.forget(name)));
    } finally {
      await stopServer(this.server);
      this.config.remove();
    }
  }

  private async listen(): Promise<void> {
    const { host } = new URL(this.url);
    // Functions given to the page are compiled by tsx, which calls this helper.
    await this.context.addInitScript('globalThis.__name = (value) => value;');
    this.context.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`${message.text()} (${message.location().url})`);
    });
    this.context.on('weberror', (error) => this.complaints.push(String(error.error().stack ?? error.error())));
    this.context.on('request', (request) => {
      const url = new URL(request.url());
      if (/^(http|ws)/.test(url.protocol) && url.host !== host) this.complaints.push(`request to ${request.url()}`);
    });
  }

  newPage(): Promise<Page> {
    return this.context.newPage();
  }

  /** Opens a notebook (path below the root) in a workspace of its own, and waits for its kernel. */
  async open(notebook: string): Promise<Page> {
    const { origin, search } = new URL(this.url);
    const page = await this.newPage();
    const workspace = path.basename(path.dirname(notebook));
    this.workspaces.add(workspace);
    this.complaints.length = 0;
    const url = `${origin}/lab/workspaces/${workspace}/tree/${notebook}${search}&reset`;
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    await page.waitForFunction((wanted) => {
      const panel = window.jupyterapp?.shell.currentWidget;
      const { isReady, session } = panel?.sessionContext ?? {};
      return panel?.context?.path === wanted && isReady && session?.kernel?.status === 'idle';
    }, notebook);
    return page;
  }

  /** Removes what JupyterLab keeps of a workspace: its layout. */
  private async forget(workspace: string): Promise<void> {
    const { origin, searchParams } = new URL(this.url);
    const headers = { authorization: `token ${searchParams.get('token')}` };
    await fetch(`${origin}/lab/api/workspaces/${workspace}`, { method: 'DELETE', headers });
  }
}

/** Runs a command of JupyterLab, as its menus and keys do. */
export function command(page: Page, id: string, args: object = {}): Promise<unknown> {
  return page.evaluate(([id, args]) => window.jupyterapp!.commands.execute(id, args), [id, args] as const);
}

/** The cells of the notebook that is open. */
export function cells(page: Page): Promise<Cell[]> {
  return page.evaluate(() =>
    window.jupyterapp!.shell.currentWidget!.content.widgets.map(({ model }) => model.toJSON()),
  );
}

/** Makes the cell at `index` the active one. */
export function activate(page: Page, index: number): Promise<void> {
  return page.evaluate((index) => {
    window.jupyterapp!.shell.currentWidget!.content.activeCellIndex = index;
  }, index);
}

/** Asks the server to end as Ctrl-C does; ends it by force, by its own id, where it does not. */
async function stopServer({ child, result }: Running): Promise<void> {
  const pids = child.pid === undefined ? [] : [child.pid, ...childrenOf(child.pid)];
  child.kill('SIGINT');
  const gone = () => pids.every((pid) => !alive(pid));
  await until(gone, 'JupyterLab ends', STOP_MS).catch(() => {
    for (const pid of pids) if (alive(pid)) process.kill(pid, 'SIGKILL');
  });
  await result;
}

/** All processes below `pid`: the server and its kernels. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return (text.match(/\d+/g) ?? []).map(Number).flatMap((child) => [child, ...childrenOf(child)]);
}

/** Where copies of notebooks are made: JupyterLab serves nothing from folders whose names begin with a dot. */
export function notebookFolder(): { dir: string; remove: () => void } {
  const runs = path.join(ROOT, 'runs');
  fs.mkdirSync(runs, { recursive: true });
  const dir = fs.mkdtempSync(path.join(runs, 'e2e-'));
  const remove = () => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  process.once('exit', remove);
  return { dir, remove };
}
