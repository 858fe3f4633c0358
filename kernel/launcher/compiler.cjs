// Compiles cells with tslab's converter, under the project's own type-checking options. tslab fixes its options,
// checks every imported file again for every cell, watches files through the operating system and drops source
// maps; it takes all of this from the TypeScript module it loads, so that module's exports are replaced here.
const path = require('node:path');
const { createRequire } = require('node:module');
const { expandShorthand, loopsWithAwait } = require('./cellSyntax.cjs');
const { Conversions, scriptOf, stampOf } = require('./conversions.cjs');
const { environmentOf, Store } = require('./store.cjs');
const { rest, toCommonJs } = require('./transpile.cjs');
const { Verdicts } = require('./verdicts.cjs');

const tslabRequire = createRequire(require.resolve('tslab/package.json'));
/** tslab's names for a cell's text, for what earlier cells declare, and for its output folder. */
const CELL_FILE = '__tslab__.ts';
const DECLARATIONS_FILE = '__prev__.d.ts';
const OUT_DIR = 'outDir';
const CANNOT_FIND_MODULE = new Set([2307, 2792]);
const INLINE_MAP = /\n?\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/;
const FILE_MAP = /\n?\/\/# sourceMappingURL=\S+\s*$/;

const typescriptId = tslabRequire.resolve('@tslab/typescript-for-tslab');
const ts = tslabRequire(typescriptId);
const files = watchOnDemand();
let builder;
let projectRoot;
let registerMaps;
let store;
let verdicts;
/** What the cell that was compiled last depends on. */
let dependencies;
/** Files that were without errors, at one time, together with all that they depend on; a changed file is a new object. */
let clean = new Set();
/** Texts that are CommonJS already. */
const finished = new Set();

// Before any part of tslab is loaded.
require.cache[typescriptId].exports = {
  ...ts,
  createWatchCompilerHost: (rootFiles, options, ...rest) =>
    ts.createWatchCompilerHost(rootFiles, projectOptions(options), ...rest),
  createWatchProgram(host) {
    const { afterProgramCreate } = host;
    host.afterProgramCreate = (program) => {
      builder = program;
      afterProgramCreate({ ...program, emit: (file, write, ...rest) => emit(program, file, write, rest) });
    };
    return ts.createWatchProgram(host);
  },
  getPreEmitDiagnosticsOfFiles: diagnose,
  transpileModule: toCommonJsStep,
};

/** The compiler of this process. `maps` is told the source maps of every JavaScript text that comes out. */
function createCompiler(root, maps) {
  projectRoot = root;
  registerMaps = (text, steps) => maps.add(text, steps);
  const environment = environmentOf(root, JSON.stringify([ts.version, projectOptions({})]));
  verdicts = new Verdicts(root, environment);
  store = new Store(root, environment);
  const conversions = new Conversions({ root, store, print, maps });

  let converter;
  /** Whether the converter knows what the last cell has imported and declared. */
  let upToDate = false;
  let incomplete = false;
  /** Modules that are cells' texts: no file tells when they change. */
  let hasModules = false;
  const current = () => {
    // A module that was not found, or could not be printed, stays so for the watching program: begin anew.
    if (incomplete) {
      converter.close();
      files.clear();
      converter = undefined;
    }
    incomplete = false;
    converter ??= createConverter(root);
    upToDate = true;
    files.poll();
    return converter;
  };
  const remember = (diagnostics) => {
    incomplete = diagnostics.some(({ code }) => CANNOT_FIND_MODULE.has(code));
  };
  const compile = (declarations, code) => {
    const now = current();
    // Until it has come through: what throws on the way leaves files that count as printed and are not.
    incomplete = true;
    const converted = now.convert(declarations, expandShorthand(ts, code));
    converted.hasToplevelAwait ||= loopsWithAwait(ts, code);
    remember(converted.diagnostics);
    verdicts.save();
    if (converted.diagnostics.length === 0 && !hasModules)
      conversions.keep(declarations, code, converted, dependencies);
    return converted;
  };
  return {
    convert(declarations, code) {
      const kept = hasModules ? undefined : conversions.find(declarations, code);
      if (kept) upToDate = false;
      const converted = kept ?? compile(declarations, code);
      rest();
      return converted;
    },
    /** What kept conversions have put off: without it the first completion would take seconds. */
    catchUp(declarations) {
      if (!upToDate) current().inspect(declarations, '', 0);
    },
    addModule(name, code, metadata) {
      hasModules = true;
      const diagnostics = current().addModule(name, code, metadata);
      remember(diagnostics);
      return diagnostics;
    },
    inspect: (declarations, code, position) => current().inspect(declarations, code, position),
    complete: (declarations, code, position) => current().complete(declarations, code, position),
    typescriptVersion: ts.version,
  };
}

/** tslab's, which takes the working directory as the root; a cell may have changed it. */
function createConverter(root) {
  const here = process.cwd();
  process.chdir(root);
  try {
    return tslabRequire('./dist/converter.js').createConverter({ isJS: false, isBrowser: false });
  } finally {
    process.chdir(here);
  }
}

function projectOptions(options) {
  return {
    ...options,
    strict: true,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: ['node'],
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    checkJs: false,
    inlineSourceMap: true,
  };
}

/**
 * Replaces the file watchers of `ts.sys` by a look at the files when a cell is about to be compiled: nothing is missed
 * between an edit and the next cell, and no watcher is held for the thousands of files of node_modules.
 */
function watchOnDemand() {
  const watched = new Map();
  ts.sys.watchDirectory = () => ({ close() {} });
  ts.sys.watchFile = (file, callback) => {
    if (file.includes('/node_modules/')) return { close() {} };
    watched.set(file, { callback, seen: stampOf(file) });
    return { close: () => watched.delete(file) };
  };
  return {
    clear: () => watched.clear(),
    poll() {
      for (const [file, entry] of [...watched]) {
        const now = stampOf(file);
        if (now === entry.seen) continue;
        const { Created, Changed, Deleted } = ts.FileWatcherEventKind;
        const kind = now === '' ? Deleted : entry.seen === '' ? Created : Changed;
        entry.seen = now;
        entry.callback(file, kind);
      }
    },
  };
}

/**
 * The errors of the cell and of the files it imports. A file that was clean is only looked at again when it or a file it
 * depends on has changed. Imported files are not asked for declarations: only the cell's are needed.
 */
function diagnose(program, [cell, ...imported]) {
  const found = [...ts.getPreEmitDiagnostics(program, cell)];
  const sources = sourcesOf(program, cell).filter((file) => file !== cell);
  const earlier = program.getSourceFile(path.join(path.dirname(cell.fileName), DECLARATIONS_FILE));
  const known = sourcesOf(program, earlier).filter((file) => file !== earlier);
  dependencies = { sources: [...new Set([...sources, ...known])], imported };
  if (!sources.every((file) => clean.has(file))) found.push(...diagnoseImported(program, imported, sources));
  return found.map((diagnostic) => ({
    ...diagnostic,
    messageText: ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'),
  }));
}

function diagnoseImported(program, imported, sources) {
  const found = [];
  for (const file of imported) {
    const verdict = verdicts.name(file.fileName, sourcesOf(program, file));
    if (verdicts.has(verdict)) continue;
    const errors = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    if (errors.length === 0) verdicts.add(verdict);
    else found.push(...errors);
  }
  if (found.length === 0) {
    const current = [...clean].every((file) => program.getSourceFile(file.fileName) === file);
    clean = new Set(current ? [...clean, ...sources] : sources);
  }
  return found;
}

/** The project's files that a file depends on, itself included. */
function sourcesOf(program, file) {
  return builder
    .getAllDependencies(file)
    .filter((name) => !name.includes('/node_modules/'))
    .map((name) => program.getSourceFile(name))
    .filter((source) => source !== undefined);
}

/** Emits a cell as tslab does, and an imported file at once in its final form. */
function emit(program, file, write, rest) {
  if (path.basename(file.fileName) === CELL_FILE) return program.emit(file, write, ...rest);
  const code = print(file.text, file.fileName);
  finished.add(code);
  return write(path.join(OUT_DIR, path.relative(projectRoot, scriptOf(file.fileName))), code);
}

/** The JavaScript of an imported file. */
function print(text, file) {
  const name = path.relative(projectRoot, file);
  let printed = store.get([name, text]);
  if (!printed) {
    printed = toCommonJs(text, name);
    store.put([name, text], printed);
  }
  registerMaps(printed.code, [printed.map]);
  return printed.code;
}

/** In the place of `ts.transpileModule`: tslab's second step, from modules to CommonJS. Registers both steps' maps. */
function toCommonJsStep(js, options) {
  if (finished.delete(js)) return { outputText: js };
  const toModule = INLINE_MAP.exec(js)?.[1] ?? '';
  const result = ts.transpileModule(js.replace(INLINE_MAP, ''), {
    ...options,
    compilerOptions: { ...options.compilerOptions, sourceMap: true, noImplicitUseStrict: false },
  });
  const outputText = result.outputText.replace(FILE_MAP, '');
  registerMaps(outputText, [result.sourceMapText, Buffer.from(toModule, 'base64').toString()]);
  return { ...result, outputText };
}

module.exports = { createCompiler, tslabRequire };
