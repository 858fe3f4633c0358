// Notebooks, run folders and command lines for the tests of recipes.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

export const ROOT = path.resolve(__dirname, '../..');
const CLI = path.join(ROOT, 'bin', 'vitlab.cjs');

export type CellSpec =
  | string
  | { readonly source: string; readonly tags?: readonly string[]; readonly markdown?: true };

/** A notebook of nbformat 4.5; strings are code cells. */
export function notebookJson(cells: readonly CellSpec[], vitlab?: unknown) {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: 'tslab', display_name: 'TypeScript (vitlab)', language: 'typescript' },
      ...(vitlab === undefined ? {} : { vitlab }),
    },
    cells: cells.map((spec, i) => {
      const { source, tags, markdown } = typeof spec === 'string' ? { source: spec } : { markdown: undefined, ...spec };
      const metadata = tags ? { tags } : {};
      const id = `cell-${i}`;
      return markdown
        ? { cell_type: 'markdown', id, metadata, source }
        : { cell_type: 'code', id, metadata, source, outputs: [], execution_count: null };
    }),
  };
}

/** A folder that `remove` takes away again. */
export function temporaryFolder(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(path.join(tmpdir(), 'vitlab-test-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }) };
}

export function writeNotebookFile(dir: string, name: string, cells: readonly CellSpec[], vitlab?: unknown): string {
  const file = path.join(dir, `${name}.ipynb`);
  writeFileSync(file, JSON.stringify(notebookJson(cells, vitlab)));
  return file;
}

/** A folder of a suite's own: places in it, and notebooks written into it. */
export function notebookFolder() {
  const { dir, remove } = temporaryFolder();
  after(remove);
  const place = (...names: string[]) => path.join(dir, ...names);
  const notebook = (name: string, cells: readonly CellSpec[], vitlab?: unknown) =>
    writeNotebookFile(dir, name, cells, vitlab);
  return { place, notebook };
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command line: its process, and what becomes of it. */
export interface Running {
  readonly child: ChildProcess;
  readonly result: Promise<CommandResult>;
  /** Resolves once stdout matches; rejects where the command ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
}

export function startCli(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Running {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const result = new Promise<CommandResult>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const said = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(stdout);
        if (found) resolve(found);
      };
      child.stdout.on('data', look);
      look();
      void result.then(() => reject(new Error(`ended without saying ${pattern}: ${stdout}${stderr}`)));
    });
  return { child, result, said };
}

/** Runs the command line to its end. */
export function cli(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  return startCli(args, options).result;
}
