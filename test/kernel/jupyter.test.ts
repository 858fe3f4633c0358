// The kernel under Jupyter's own programs: nbclient (which papermill uses too), nbconvert, and the server of JupyterLab.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { alive, until } from '../support/processes.js';
import { tempDir } from '../support/tempDir.js';
import { ROOT } from './support.js';

type Cell = { execution_count: number | null; outputs: { output_type: string; text?: string; ename?: string }[] };
type Executed = { error: { ename: string; evalue: string; traceback: string } | null; cells: Cell[] };

const place = tempDir();
const BIN = path.join(ROOT, '.venv/bin');

/** Jupyter's settings and files below the temporary folder; kernels from this project. */
function environment(): NodeJS.ProcessEnv {
  const folders = { CONFIG: 'config', DATA: 'data', RUNTIME: 'runtime' };
  const env = Object.fromEntries(
    Object.entries(folders).map(([name, folder]) => [`JUPYTER_${name}_DIR`, place(folder)]),
  );
  return { ...process.env, ...env, JUPYTER_PATH: path.join(ROOT, 'kernel/jupyter'), JUPYTER_PLATFORM_DIRS: '0' };
}

async function run(
  program: string,
  args: string[],
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(path.join(BIN, program), args, { env: environment(), cwd: place('.') });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  child.stdin.end(input);
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, stdout, stderr };
}

async function nbclient(cells: string[], options: { allowErrors?: boolean } = {}): Promise<Executed> {
  const script = path.join(__dirname, 'execute.py');
  const folder = place('some folder');
  mkdirSync(folder, { recursive: true });
  const { code, stdout, stderr } = await run(
    'python',
    [script, JSON.stringify({ folder, ...options })],
    JSON.stringify(cells),
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

describe('nbclient', () => {
  it('runs a notebook that lies elsewhere', async () => {
    const { error, cells } = await nbclient([
      "import { nearest } from './src/errors.js';",
      "console.log(nearest('swim', ['swin']));",
    ]);
    assert.equal(error, null);
    assert.deepEqual(
      cells.map((cell) => cell.execution_count),
      [1, 2],
    );
    assert.equal(cells[1]!.outputs[0]!.text, 'swin\n');
  });

  it('gets all of 20,000 lines', async () => {
    const { error, cells } = await nbclient(['for (let i = 0; i < 20_000; i++) console.log("line " + i);']);
    assert.equal(error, null);
    assert.equal(
      cells[0]!.outputs
        .map((output) => output.text)
        .join('')
        .split('\n').length,
      20_001,
    );
  });

  it('stops at a cell that fails, with its error', async () => {
    const { error, cells } = await nbclient(['1', '\nthrow new RangeError("too far");', 'console.log("not run")']);
    assert.equal(error?.ename, 'RangeError');
    assert.equal(error.evalue, 'too far');
    assert.match(error.traceback, /Cell\[2\]:2/);
    assert.equal(cells[1]!.outputs[0]!.output_type, 'error');
    assert.deepEqual(cells[2]!.outputs, []);
  });

  it('stops at a type error, and at a rejection that nobody handled', async () => {
    assert.equal((await nbclient(['const n: number = "text";'])).error?.ename, 'TypeScriptError');
    assert.equal((await nbclient(['void Promise.reject(new EvalError("lost"));'])).error?.ename, 'EvalError');
  });

  it('runs all cells where errors are allowed', async () => {
    const { error, cells } = await nbclient(['console.log(1)', 'throw 2', 'console.log(3)', 'console.log(4)'], {
      allowErrors: true,
    });
    assert.equal(error, null);
    assert.deepEqual(
      cells.map((cell) => cell.outputs[0]!.text ?? cell.outputs[0]!.ename),
      ['1\n', 'number', '3\n', '4\n'],
    );
  });
});

describe('nbconvert', () => {
  const notebook = (name: string, code: string) => {
    const metadata = { kernelspec: { name: 'tslab', display_name: 'x', language: 'typescript' } };
    const cell = { cell_type: 'code', id: 'a', metadata: {}, execution_count: null, outputs: [], source: code };
    writeFileSync(place(name), JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata, cells: [cell] }));
    return ['nbconvert', '--to', 'notebook', '--execute', '--output', `done-${name}`, place(name)];
  };

  it('executes a notebook', async () => {
    const { code, stderr } = await run('jupyter', notebook('good.ipynb', 'console.log([1, 2].length)'));
    assert.equal(code, 0, stderr);
    const { cells } = JSON.parse(readFileSync(place('done-good.ipynb'), 'utf8'));
    assert.deepEqual(cells[0].outputs[0].text, ['2\n']);
  });

  it('fails where the kernel ends', async () => {
    const { code, stderr } = await run('jupyter', notebook('exits.ipynb', 'process.exit(3)'));
    assert.notEqual(code, 0);
    assert.match(stderr, /DeadKernelError/);
  });
});

describe('the server of JupyterLab', () => {
  it('finds the kernel, starts it, and takes it along when it is killed', async () => {
    const port = await freePort();
    const options = {
      'ServerApp.ip': '127.0.0.1',
      'ServerApp.port': port,
      'ServerApp.port_retries': 0,
      'ServerApp.root_dir': place('.'),
      'ServerApp.open_browser': 'False',
      'ServerApp.allow_root': 'True',
      'IdentityProvider.token': 'secret',
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const server = spawn(path.join(BIN, 'jupyter'), ['lab', ...args], { env: environment(), stdio: 'ignore' });
    const ask = async (method: string, url: string, body?: object) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/${url}`, {
        method,
        headers: { Authorization: 'token secret', 'Content-Type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      });
      return (await response.json()) as Record<string, unknown>;
    };
    let kernel: number | undefined;
    try {
      let up = false;
      const poll = setInterval(
        () =>
          ask('GET', 'status').then(
            () => {
              up = true;
            },
            () => {},
          ),
        200,
      );
      await until(() => up, 'the server', 60_000).finally(() => clearInterval(poll));
      const specs = (await ask('GET', 'kernelspecs'))['kernelspecs'] as Record<
        string,
        { spec: Record<string, unknown> }
      >;
      assert.equal(specs['tslab']?.spec['display_name'], 'TypeScript (vitlab)');
      assert.equal(specs['tslab'].spec['interrupt_mode'], 'signal');
      await ask('POST', 'kernels', { name: 'tslab' });
      await until(() => {
        kernel = childOf(server.pid!, 'launch.cjs');
        return kernel !== undefined;
      }, 'the kernel');
      server.kill('SIGKILL');
      await until(() => !alive(kernel!), 'the end of the kernel');
    } finally {
      server.kill('SIGKILL');
      if (kernel !== undefined && alive(kernel)) process.kill(kernel, 'SIGKILL');
    }
  });
});

function childOf(parent: number, program: string): number | undefined {
  return readdirSync('/proc')
    .map(Number)
    .find((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        return status.includes(`PPid:\t${parent}\n`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(program);
      } catch {
        return false;
      }
    });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

describe('papermill', () => {
  const notebook = (name: string, cells: string[]): string => {
    const file = place(name);
    const kernelspec = { name: 'tslab', display_name: 'TypeScript', language: 'typescript' };
    const written = cells.map((source, i) => ({
      cell_type: 'code',
      id: `cell-${i}`,
      execution_count: null,
      metadata: {},
      outputs: [],
      source,
    }));
    writeFileSync(file, JSON.stringify({ cells: written, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }));
    return file;
  };
  const papermill = (input: string, output: string): ReturnType<typeof run> =>
    run('papermill', ['--no-progress-bar', '--log-output', input, output]);

  it('runs a notebook and keeps its outputs', async () => {
    const output = place('papermill-out.ipynb');
    const { code, stderr } = await papermill(
      notebook('papermill-good.ipynb', ['let a: number = 20;', 'a + 1']),
      output,
    );
    assert.equal(code, 0, stderr);
    const executed = JSON.parse(readFileSync(output, 'utf8')) as { cells: Cell[] };
    assert.deepEqual(
      executed.cells.map(({ outputs }) => outputs.map(({ text }) => String(text))),
      [[], ['21\n']],
    );
  });

  it('fails where a cell fails', async () => {
    const input = notebook('papermill-bad.ipynb', ["throw new RangeError('too far');", "console.log('after');"]);
    const { code, stderr } = await papermill(input, place('papermill-failed.ipynb'));
    assert.equal(code, 1);
    assert.match(stderr, /RangeError: too far/);
  });
});
