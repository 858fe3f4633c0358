// `vitlab demo`: the AdaptFormer recipe at its quick size, then the comparison of all runs of the demo.
import fs from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import {
  compareRuns,
  exitCodeOf,
  planRuns,
  ROOT,
  readRun,
  renderComparison,
  runAll,
  writeText,
} from '../recipes/index.js';

const NOTEBOOK = path.join(ROOT, 'notebooks', '04-adaptformer.ipynb');
const FOLDER = path.join(ROOT, 'runs', 'demo');

/** The `demo` command. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('run the AdaptFormer recipe on the embedded data set at its quick size, and compare')
    .action(async () => {
      const outcomes = await runAll(planRuns({ notebooks: [NOTEBOOK], profile: 'quick', out: nextFolder() }));
      process.exitCode = exitCodeOf(outcomes);
      const [outcome] = outcomes;
      if (outcome?.status !== 'finished') return;
      const comparison = path.join(FOLDER, 'comparison.html');
      writeText(comparison, renderComparison(compareRuns(runFolders().map(readRun))));
      console.log(`Report: ${path.join(outcome.runDir, 'report.html')}`);
      console.log(`Comparison: ${comparison}`);
    });
}

function runFolders(): string[] {
  if (!fs.existsSync(FOLDER)) return [];
  return fs
    .readdirSync(FOLDER)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => path.join(FOLDER, name))
    .filter((dir) => fs.existsSync(path.join(dir, 'provenance.json')))
    .sort((a, b) => Number(path.basename(a)) - Number(path.basename(b)));
}

/** Demos are numbered: runs/demo/1, runs/demo/2, … */
function nextFolder(): string {
  const last = runFolders().at(-1);
  return path.join(FOLDER, String(last ? Number(path.basename(last)) + 1 : 1));
}
