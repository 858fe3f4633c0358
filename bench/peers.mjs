// `npm run bench:peers`: makes .vitlab/peers, a Python with PyTorch and timm (5.5 GB), for `npx vitlab bench --torch
// .vitlab/peers/bin/python`. Not part of the set-up.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.vitlab', 'peers');

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status === 0) return;
  rmSync(folder, { recursive: true, force: true });
  console.error(`${command} ${args[0]} failed${error ? `: ${error.message}` : ''}; nothing was kept.`);
  process.exit(1);
}

if (!existsSync(path.join(folder, 'bin', 'python'))) run('python3', ['-m', 'venv', folder]);
const python = path.join(folder, 'bin', 'python');
run(python, ['-m', 'pip', 'install', '--require-hashes', '-r', path.join(root, 'requirements', 'peers.txt')]);
console.log(`npx vitlab bench --torch ${path.relative(process.cwd(), python)}`);
