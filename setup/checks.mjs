// What the steps need and this machine lacks: a sentence each, with the remedy.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statfsSync } from 'node:fs';
import { ask, findCompiler, findPython, pythonEnv } from './machine.mjs';

/** The sentences for what is missing; the network is asked only where all else is there. */
export function missing(root, due) {
  const needs = (what) => due.some((step) => step.needs[what]);
  const local = [
    platform(),
    needs('npm') && npm(),
    needs('python') && python(),
    needs('compiler') && compiler(),
    disk(
      root,
      due.reduce((sum, step) => sum + step.needs.disk, 0),
    ),
  ].filter(Boolean);
  if (local.length > 0) return local;
  return [needs('npm') && npmRegistry(root), needs('pypi') && pypi()].filter(Boolean);
}

function platform() {
  const name = `${process.platform} on ${process.arch}`;
  if (process.platform === 'darwin') return undefined;
  if (process.platform === 'win32') return 'vitlab does not run on Windows itself: use it in WSL 2 (wsl --install).';
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    return `vitlab runs on Linux (x64, arm64) and macOS, but this is ${name}: use one of those.`;
  }
  if (process.report.getReport().header.glibcVersionRuntime === undefined) {
    return 'vitlab needs a Linux with glibc, as Debian, Ubuntu or Fedora have it, but this one has another C library.';
  }
  return undefined;
}

/** The sentence for a clone that cannot be written into, or `undefined`. */
export function unwritable(root) {
  try {
    accessSync(root, constants.W_OK);
    return undefined;
  } catch {
    return `The set-up cannot write into ${root}: run it as the owner of that folder.`;
  }
}

function npm() {
  if (ask('npm', ['--version']) !== undefined) return undefined;
  return 'npm was not found: install Node with npm from https://nodejs.org (Debian, Ubuntu: apt-get install npm).';
}

function python() {
  const found = findPython();
  const remedy = '(Debian, Ubuntu: apt-get install python3 python3-venv), or name one in PYTHON';
  if (found === undefined) return `Python was not found: install Python 3.10 to 3.14 ${remedy}.`;
  if (!found.fits)
    return `Python 3.10 to 3.14 is needed, but ${found.command} is ${found.version}: install one ${remedy}.`;
  if (ask(found.command, ['-c', 'import venv, ensurepip'], { env: pythonEnv(process.env) }) !== undefined)
    return undefined;
  const [major, minor] = found.version.split('.');
  return `${found.command} (${found.version}) has no venv module: install it (Debian, Ubuntu: apt-get install python${major}.${minor}-venv).`;
}

function compiler() {
  const remedy = 'install g++ or clang (Debian, Ubuntu: apt-get install g++), or name one in CXX';
  const found = findCompiler();
  if (found === undefined) return `A C++ compiler was not found: ${remedy}.`;
  const program = ask(found.command, ['-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], {
    input: '#include <string>\n',
  });
  return program !== undefined ? undefined : `${found.command} cannot compile a C++17 program: ${remedy}.`;
}

function disk(root, bytes) {
  const { bavail, bsize } = statfsSync(root);
  if (bavail * bsize >= bytes) return undefined;
  const gb = (count) => `${(count / 1e9).toFixed(1)} GB`;
  return `The set-up needs ${gb(bytes)} of free disk in ${root}, but there are ${gb(bavail * bsize)}: make room or move the clone.`;
}

// Any answer at all means that the network is there; what npm and pip make of it is theirs to say.
function npmRegistry(root) {
  const args = ['view', 'node-api-headers', 'version', '--fetch-retries=0', '--fetch-timeout=20000'];
  const result = spawnSync('npm', args, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT/;
  if (result.status === 0 || (result.error === undefined && !offline.test(result.stderr))) return undefined;
  return 'The npm registry cannot be reached: connect to the network, or set the proxy or registry that npm is to use (npm config).';
}

const probe = `
import socket, sys, urllib.request, urllib.error
try:
    urllib.request.urlopen(sys.argv[1], timeout=20).close()
except urllib.error.HTTPError:
    pass
except (urllib.error.URLError, OSError) as error:
    reason = getattr(error, 'reason', error)
    sys.exit(1 if isinstance(reason, (socket.gaierror, ConnectionError, TimeoutError)) else 0)
`;

function pypi() {
  if (process.env.PIP_NO_INDEX) return undefined;
  const { command } = findPython() ?? { command: '.venv/bin/python' };
  const env = pythonEnv(process.env);
  const configured =
    process.env.PIP_INDEX_URL ?? ask(command, ['-m', 'pip', 'config', 'get', 'global.index-url'], { env });
  const index = configured || 'https://pypi.org/simple';
  const options = { env, encoding: 'utf8', timeout: 60_000 };
  const result = spawnSync(command, ['-c', probe, `${index.replace(/\/$/, '')}/pip/`], options);
  if (result.status === 0) return undefined;
  return 'The Python package index cannot be reached: connect to the network, or set the proxy or index that pip is to use (pip config).';
}
