// Loads the compiled src modules that cells import. When a file has changed, it is loaded anew together with every
// module that imports it, directly or through others, so that nothing keeps an old copy.
const path = require('node:path');
const vm = require('node:vm');
const { createRequire } = require('node:module');
const { sourceOf } = require('./stacks.cjs');

const OPEN = '(function (exports, require, module, __filename, __dirname) {';

class Modules {
  #outputs = new Map();
  #loaded = new Map();
  #importers = new Map();
  #maps;
  #root;

  constructor(root, maps) {
    this.#root = root;
    this.#maps = maps;
  }

  /** Takes the compiler's outputs `{ path, data }`; what is unchanged stays loaded. */
  update(outputs) {
    for (const { path: file, data } of outputs) {
      if (this.#outputs.get(file) === data) continue;
      this.#outputs.set(file, data);
      this.#forget(file);
    }
  }

  #forget(file) {
    const importers = this.#importers.get(file);
    this.#loaded.delete(file);
    this.#importers.delete(file);
    for (const importer of importers ?? []) this.#forget(importer);
  }

  /** `require` for a module at `file` (default: a cell, which stands in the root). */
  requireFor(file = path.join(this.#root, 'cell.js')) {
    const native = createRequire(file);
    const load = (id) => {
      const target = this.#resolve(path.dirname(file), id);
      if (target === undefined) return native(id);
      if (this.#outputs.has(file)) {
        if (!this.#importers.has(target)) this.#importers.set(target, new Set());
        this.#importers.get(target).add(file);
      }
      return this.#load(target);
    };
    return Object.assign(load, native);
  }

  #resolve(folder, id) {
    if (!/^\.{0,2}\//.test(id) && id !== '.' && id !== '..') return undefined;
    const plain = path.resolve(folder, id);
    return [plain, `${plain}.js`, path.join(plain, 'index.js')].find((file) => this.#outputs.has(file));
  }

  #load(file) {
    const known = this.#loaded.get(file);
    if (known) return known.exports;
    const source = sourceOf(file);
    const text = this.#outputs.get(file);
    this.#maps.register(file, text, path.relative(this.#root, source));
    const run = new vm.Script(`${OPEN}${text}\n})`, { filename: file, columnOffset: -OPEN.length }).runInThisContext();
    const module = { id: source, filename: source, exports: {}, loaded: false };
    // Registered before it runs: modules may import each other in a circle.
    this.#loaded.set(file, module);
    try {
      run.call(module.exports, module.exports, this.requireFor(file), module, source, path.dirname(source));
      module.loaded = true;
    } catch (error) {
      this.#forget(file);
      throw error;
    }
    return module.exports;
  }
}

module.exports = { Modules };
