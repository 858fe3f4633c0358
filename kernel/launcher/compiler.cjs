// Compiles cells with tslab's converter, under the project's own type-checking options. tslab fixes its options,
// checks every imported file again for every cell, watches files through the operating system and drops source
// maps; it takes all of this from the TypeScript module it loads, so that module's exports are replaced here.
const fs = require('node:fs');
const { createRequire } = require('node:module');

const tslabRequire = createRequire(require.resolve('tslab/package.json'));
const CANNOT_FIND_MODULE = new Set([2307, 2792]);
const INLINE_MAP = /\n?\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/;
const FILE_MAP = /\n?\/\/# sourceMappingURL=\S+\s*$/;

const typescriptId = tslabRequire.resolve('@tslab/typescript-for-tslab');
const ts = tslabRequire(typescriptId);
const files = watchOnDemand();
let builder;
let registerMaps;

// Before any part of tslab is loaded.
require.cache[typescriptId].exports = {
  ...ts,
  createWatchCompilerHost: (rootFiles, options, ...rest) =>
    ts.createWatchCompilerHost(rootFiles, projectOptions(options), ...rest),
  createWatchProgram(host) {
    const { afterProgramCreate } = host;
    host.afterProgramCreate = (program) => {
      builder = program;
      afterProgramCreate(program);
    };
    return ts.createWatchProgram(host);
  },
  getPreEmitDiagnosticsOfFiles: incrementalDiagnostics(),
  transpileModule: transpileWithMaps,
};

/** The compiler of this process. `maps` is told the source maps of every JavaScript text that comes out. */
function createCompiler(maps) {
  const { createConverter } = tslabRequire('./dist/converter.js');
  registerMaps = (text, encoded) => maps.add(text, encoded);

  let converter = createConverter({ isJS: false, isBrowser: false });
  let missingModule = false;
  const current = () => {
    // A module that was not found stays unknown to the watching program: begin anew once something may have changed.
    if (missingModule) {
      converter.close();
      files.clear();
      converter = createConverter({ isJS: false, isBrowser: false });
      missingModule = false;
    }
    files.poll();
    return converter;
  };
  const remember = (diagnostics) => {
    missingModule = diagnostics.some(({ code }) => CANNOT_FIND_MODULE.has(code));
  };
  return {
    convert(declarations, code) {
      const converted = current().convert(declarations, code);
      remember(converted.diagnostics);
      return converted;
    },
    addModule(name, code, metadata) {
      const diagnostics = current().addModule(name, code, metadata);
      remember(diagnostics);
      return diagnostics;
    },
    inspect: (declarations, code, position) => current().inspect(declarations, code, position),
    complete: (declarations, code, position) => current().complete(declarations, code, position),
    typescriptVersion: ts.version,
  };
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
  const stamp = (file) => {
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    return stats ? `${stats.mtimeMs} ${stats.size}` : '';
  };
  ts.sys.watchDirectory = () => ({ close() {} });
  ts.sys.watchFile = (file, callback) => {
    if (file.includes('/node_modules/')) return { close() {} };
    watched.set(file, { callback, seen: stamp(file) });
    return { close: () => watched.delete(file) };
  };
  return {
    clear: () => watched.clear(),
    poll() {
      for (const [file, entry] of [...watched]) {
        const now = stamp(file);
        if (now === entry.seen) continue;
        const { Created, Changed, Deleted } = ts.FileWatcherEventKind;
        const kind = now === '' ? Deleted : entry.seen === '' ? Created : Changed;
        entry.seen = now;
        entry.callback(file, kind);
      }
    },
  };
}

/** The errors of the cell and of the files it imports; a file that was clean is checked again when it or one of the
 * files it depends on has changed. Declarations are only needed of the cell, so imported files are not asked for theirs. */
function incrementalDiagnostics() {
  const cleanWith = new WeakMap();
  const flatten = (diagnostic) => ({
    ...diagnostic,
    messageText: ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'),
  });
  return (program, [cell, ...imported]) => {
    const found = [...ts.getPreEmitDiagnostics(program, cell)];
    for (const file of imported) {
      const known = cleanWith.get(file);
      if (known?.every((source) => program.getSourceFileByPath(source.resolvedPath) === source)) continue;
      const errors = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      found.push(...errors);
      if (errors.length > 0) continue;
      const sources = builder
        .getAllDependencies(file)
        .filter((name) => !name.endsWith('.d.ts'))
        .map((name) => program.getSourceFile(name))
        .filter((source) => source !== undefined);
      cleanWith.set(file, sources);
    }
    return found.map(flatten);
  };
}

/** `ts.transpileModule` for tslab's second step (modules to CommonJS), which registers both steps' source maps. */
function transpileWithMaps(js, options) {
  const toModule = INLINE_MAP.exec(js)?.[1];
  const result = ts.transpileModule(js.replace(INLINE_MAP, ''), {
    ...options,
    compilerOptions: { ...options.compilerOptions, sourceMap: true, noImplicitUseStrict: false },
  });
  const outputText = result.outputText.replace(FILE_MAP, '');
  registerMaps(outputText, { toModule, toCommonJs: result.sourceMapText });
  return { ...result, outputText };
}

module.exports = { createCompiler, tslabRequire };
