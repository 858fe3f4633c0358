// Values that a later kernel may take instead of making them again: a file each below `.vitlab/kernel/`, named by what
// decides the value. The environment is part of every name: compiler, options, this launcher, Node, installed packages.
const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');

const FOLDER = path.join('.vitlab', 'kernel');
const INSTALLED = path.join('node_modules', '.package-lock.json');
const MAX_FILES = 4000;

class Store {
  #folder;
  #environment;
  #writable;

  /** @param environment hash of `environmentOf`; undefined: nothing is kept */
  constructor(root, environment) {
    this.#folder = path.join(root, FOLDER);
    this.#environment = environment;
  }

  /** The value that was kept under `parts` (texts); undefined where there is none, or its file is damaged. */
  get(parts) {
    if (this.#environment === undefined) return undefined;
    const kept = read(this.#file(parts));
    const end = kept?.indexOf('\n') ?? -1;
    if (end < 0) return undefined;
    const json = kept.slice(end + 1);
    return kept.slice(0, end) === hash([json]) ? JSON.parse(json) : undefined;
  }

  /** Keeps a value that JSON can hold. A project that cannot be written to goes without. */
  put(parts, value) {
    if (this.#environment === undefined) return;
    this.#writable ??= this.#prepare();
    if (!this.#writable) return;
    const json = JSON.stringify(value);
    write(this.#file(parts), `${hash([json])}\n${json}`);
  }

  #file(parts) {
    return path.join(this.#folder, hash([this.#environment, ...parts]));
  }

  /** Makes the folder; where there are too many files in it, the older half goes. Whether that was possible. */
  #prepare() {
    try {
      fs.mkdirSync(this.#folder, { recursive: true });
      const files = fs.readdirSync(this.#folder).map((name) => path.join(this.#folder, name));
      if (files.length <= MAX_FILES) return true;
      const ages = new Map(files.map((file) => [file, fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0]));
      files.sort((a, b) => ages.get(a) - ages.get(b));
      for (const file of files.slice(0, files.length - MAX_FILES / 2)) fs.rmSync(file, { force: true });
      return true;
    } catch {
      return false;
    }
  }
}

/** A hash of all that decides what this launcher makes of a text, `options` (text) included; undefined where there is no
 * record of what is installed. */
function environmentOf(root, options) {
  const installed = read(path.join(root, INSTALLED));
  if (installed === undefined) return undefined;
  const launcher = fs.readdirSync(__dirname).sort();
  return hash([root, options, process.version, installed, ...launcher.map((name) => read(path.join(__dirname, name)))]);
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Writes a file that appears whole, or not at all where it cannot be written. */
function write(file, text) {
  const fresh = `${file}.${process.pid}`;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(fresh, text);
    fs.renameSync(fresh, file);
  } catch {
    fs.rmSync(fresh, { force: true });
  }
}

function hash(parts) {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('base64url');
}

module.exports = { Store, environmentOf, hash, read, write };
