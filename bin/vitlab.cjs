#!/usr/bin/env node
// Starts the command line from its TypeScript source, in whatever folder it is called from.
const path = require('node:path');

// tsx would read the tsconfig.json of the current folder, which may be another project's.
process.env.TSX_TSCONFIG_PATH = path.join(__dirname, '..', 'tsconfig.json');
try {
  require('tsx/cjs/api').register();
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND') throw error;
  const root = path.dirname(__dirname);
  console.error(`vitlab: its packages are not installed. Run the set-up first: node ${path.join(root, 'setup.mjs')}`);
  process.exit(1);
}
delete process.env.TSX_TSCONFIG_PATH;

require('../src/cli/main.ts').main(process.argv.slice(2));
