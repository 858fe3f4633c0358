// Remembers across kernels which files have been found free of type errors. A verdict holds for a file together with
// the contents of all project files it depends on, the compiler and its options, and the installed packages.
const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');

const FILE = path.join('.vitlab', 'kernel-checked.json');
const INSTALLED = path.join('node_modules', '.package-lock.json');
const MAX_VERDICTS = 5000;

class Verdicts {
  #root;
  #known;
  #environment;
  #changed = false;

  /** `environment` is text that names the compiler and its options. */
  constructor(root, environment) {
    this.#root = root;
    const installed = read(path.join(root, INSTALLED));
    // Without a record of what is installed nothing can be said for later kernels.
    if (installed !== undefined) this.#environment = hash([environment, installed]);
  }

  /** The name of the case: `sources` are the file and all that it depends on, as { fileName, version }. */
  name(file, sources) {
    return hash([
      this.#environment ?? '',
      file,
      ...sources.map(({ fileName, version }) => `${fileName} ${version}`).sort(),
    ]);
  }

  has(name) {
    this.#known ??= this.#load();
    return this.#known.has(name);
  }

  add(name) {
    this.#changed = true;
    this.#known.add(name);
  }

  /** Writes what is new. A project that cannot be written to goes without. */
  save() {
    if (!this.#changed || this.#environment === undefined) return;
    this.#changed = false;
    const file = path.join(this.#root, FILE);
    const fresh = `${file}.${process.pid}`;
    try {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      // Another kernel may have written in the meantime.
      const all = new Set([...this.#load(), ...this.#known]);
      fs.writeFileSync(fresh, JSON.stringify([...all].slice(-MAX_VERDICTS)));
      fs.renameSync(fresh, file);
    } catch {
      fs.rmSync(fresh, { force: true });
    }
  }

  #load() {
    try {
      return new Set(JSON.parse(read(path.join(this.#root, FILE)) ?? '[]'));
    } catch {
      return new Set();
    }
  }
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function hash(parts) {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('base64url');
}

module.exports = { Verdicts };
