// Remembers across kernels what cells were compiled to. A conversion holds for the text of a cell, what earlier cells
// declare, and the contents of all project files that either depends on, together with the names beside them: a new file
// may be what an import means from then on. Only cells without type errors are kept.
const fs = require('node:fs');
const path = require('node:path');
const { hash, read } = require('./store.cjs');

class Conversions {
  #root;
  #store;
  #print;
  #maps;
  /** File → { stamp, text, hash }. */
  #texts = new Map();

  /** `print(text, file)` gives the JavaScript of an imported file; `maps` are the source maps of cells. */
  constructor({ root, store, print, maps }) {
    this.#root = root;
    this.#store = store;
    this.#print = print;
    this.#maps = maps;
  }

  /** What tslab's converter would give; undefined where that has to be asked. */
  find(declarations, code) {
    const kept = this.#store.get([declarations, code]);
    if (!kept || this.#folders(kept.sources) !== kept.folders) return undefined;
    for (const [name, seen] of Object.entries(kept.sources)) if (this.#text(name)?.hash !== seen) return undefined;
    this.#maps.add(kept.converted.output, kept.steps);
    const sideOutputs = kept.imported.map((name) => {
      const file = path.join(this.#root, name);
      return { path: scriptOf(file), data: this.#print(this.#text(name).text, file) };
    });
    return { ...kept.converted, diagnostics: [], ...(sideOutputs.length > 0 && { sideOutputs }) };
  }

  /** `sources` are all that the conversion depends on, `imported` what the cell imports, both as { fileName, text }. */
  keep(declarations, code, { output, declOutput, hasToplevelAwait, lastExpressionVar }, { sources, imported }) {
    const name = ({ fileName }) => path.relative(this.#root, fileName);
    const hashes = Object.fromEntries(sources.map((source) => [name(source), hash([source.text])]));
    this.#store.put([declarations, code], {
      converted: { output, declOutput, hasToplevelAwait, lastExpressionVar },
      steps: this.#maps.stepsOf(output),
      sources: hashes,
      folders: this.#folders(hashes),
      imported: imported.map(name),
    });
  }

  #text(name) {
    const file = path.join(this.#root, name);
    const stamp = stampOf(file);
    const known = this.#texts.get(name);
    if (known?.stamp === stamp) return known;
    const text = read(file);
    if (text === undefined) return undefined;
    const found = { stamp, text, hash: hash([text]) };
    this.#texts.set(name, found);
    return found;
  }

  /** A hash of the names in all folders that hold sources. */
  #folders(sources) {
    const folders = [...new Set(Object.keys(sources).map((name) => path.dirname(name)))].sort();
    return hash(folders.flatMap((folder) => [folder, ...namesIn(path.join(this.#root, folder))]));
  }
}

/** The name under which the JavaScript of a source file runs. */
const scriptOf = (file) => file.replace(/\.[jt]sx?$/, '.js');

/** Changes when a file does; '' where there is none. */
function stampOf(file) {
  const stats = fs.statSync(file, { throwIfNoEntry: false });
  return stats ? `${stats.mtimeMs} ${stats.size}` : '';
}

function namesIn(folder) {
  try {
    return fs.readdirSync(folder).sort();
  } catch {
    return [];
  }
}

module.exports = { Conversions, scriptOf, stampOf };
