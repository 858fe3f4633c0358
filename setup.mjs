#!/usr/bin/env node
// The set-up of vitlab: `node setup.mjs [--cpu | --gpu | --auto]`. It needs nothing but Node; what it does stands in
// setup/. This file keeps to syntax and imports that old versions of Node can read, so that they get a sentence too.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const oldest = 20;
if (Number(process.versions.node.split('.')[0]) < oldest) {
  console.error(
    `vitlab needs Node ${oldest} or newer, but this is Node ${process.versions.node} (${process.execPath}): install a current one from https://nodejs.org.`,
  );
  process.exit(2);
}
const { main } = await import('./setup/main.mjs');
process.exitCode = await main(process.argv.slice(2), path.dirname(fileURLToPath(import.meta.url)));
