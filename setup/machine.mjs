// What this machine has: a Python, a C++ compiler, an NVIDIA driver.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const pythonNames = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];
const compilerNames = ['c++', 'g++', 'clang++'];

/** Runs a command to its end; `undefined` where it does not exist, fails or takes more than 20 seconds. */
export function ask(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000, ...options });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** `major.minor.patch` of a Python, or `undefined` where it does not run. */
export function pythonVersion(python) {
  return ask(python, ['-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])'], { env: pythonEnv(process.env) });
}

/** The first Python that the lock files were made for ($PYTHON goes first), else the first: `{ command, version, fits }`. */
export function findPython() {
  let other;
  for (const command of [process.env.PYTHON, ...pythonNames].filter(Boolean)) {
    const version = pythonVersion(command);
    if (version === undefined) continue;
    const [major, minor] = version.split('.').map(Number);
    if (major === 3 && minor >= 10 && minor <= 14) return { command, version, fits: true };
    other ??= { command, version, fits: false };
  }
  return other;
}

/** The environment without what would make Python or pip look or install somewhere else. */
export function pythonEnv(env) {
  const clean = { ...env, PYTHONNOUSERSITE: '1', PIP_USER: '0', PIP_NO_INPUT: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
  const misleading = ['PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_REQUIRE_VIRTUALENV'];
  for (const name of misleading) delete clean[name];
  return clean;
}

/** The first C++ compiler ($CXX goes first): `{ command, version }`, or `undefined`. */
export function findCompiler() {
  for (const command of [process.env.CXX, ...compilerNames].filter(Boolean)) {
    const version = ask(command, ['--version'])?.split('\n')[0];
    if (version !== undefined) return { command, version };
  }
  return undefined;
}

/** True where an NVIDIA driver has made a device. */
export function hasNvidia() {
  const devices = existsSync('/dev') ? readdirSync('/dev') : [];
  if (devices.some((name) => /^nvidia\d+$/.test(name))) return true;
  return devices.includes('dxg') && existsSync('/usr/lib/wsl/lib/libcuda.so.1');
}

/**
 * Which TensorFlow belongs here: `cpu`, `gpu`, `arm64`, or `none` where there is no Linux. A choice made by option is
 * remembered until `auto`, so that the next `npm test` does not undo it.
 */
export function variant(root, choice) {
  const memory = path.join(root, '.vitlab', 'setup', 'choice');
  if (choice === 'auto') rmSync(memory, { force: true });
  else if (choice !== undefined) {
    mkdirSync(path.dirname(memory), { recursive: true });
    writeFileSync(memory, `${choice}\n`);
  }
  if (process.platform !== 'linux') return 'none';
  if (process.arch === 'arm64') return 'arm64';
  const chosen = existsSync(memory) ? readFileSync(memory, 'utf8').trim() : '';
  if (chosen === 'cpu' || chosen === 'gpu') return chosen;
  return hasNvidia() ? 'gpu' : 'cpu';
}
