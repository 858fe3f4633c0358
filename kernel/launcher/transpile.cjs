// Turns imported src files into CommonJS with esbuild, exactly as tsx does for the command line and the tests. tslab
// would print each file with TypeScript, with declarations that nobody reads, and parse and print it once more.
const { createRequire } = require('node:module');

const tsxRequire = createRequire(require.resolve('tsx/package.json'));
const IMPLEMENTED = /\.[jt]sx?$/;

let esbuild;

/** @returns {code, map}: JavaScript and its source map as JSON. Throws where the file is not valid TypeScript. */
function toCommonJs(text, name) {
  esbuild ??= tsxRequire('esbuild');
  const { code, map } = esbuild.transformSync(text, {
    loader: IMPLEMENTED.exec(name)?.[0].slice(1) ?? 'ts',
    format: 'cjs',
    target: 'es2022',
    sourcefile: name,
    sourcemap: 'external',
    sourcesContent: false,
    // As everywhere in tslab, import() is a require: scripts in this context have no other loader.
    supported: { 'dynamic-import': false },
  });
  return { code, map };
}

/** Ends esbuild's process: an interrupt of the kernel would reach it too. It begins again when it is needed. */
function rest() {
  esbuild?.stop();
}

module.exports = { toCommonJs, rest };
