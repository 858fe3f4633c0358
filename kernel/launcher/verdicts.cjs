// Remembers across kernels which files have been found free of type errors. A verdict holds for a file together with
// the contents of all project files it depends on, the compiler and its options, and the installed packages.
const path = require('node:path');
const { hash, read, write } = require('./store.cjs');

const FILE = path.join('.vitlab', 'kernel-checked.json');
const MAX_VERDICTS = 5000;

class Verdicts {
  #root;
  #known;
  #environment;
  #changed = false;

  /** @param environment hash of `environmentOf`; undefined: nothing can be said for later kernels */
  constructor(root, environment) {
    this.#root = root;
    this.#environment = environment;
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
    // Another kernel may have written in the meantime.
    const all = new Set([...this.#load(), ...this.#known]);
    write(path.join(this.#root, FILE), JSON.stringify([...all].slice(-MAX_VERDICTS)));
  }

  #load() {
    try {
      return new Set(JSON.parse(read(path.join(this.#root, FILE)) ?? '[]'));
    } catch {
      return new Set();
    }
  }
}

module.exports = { Verdicts };
