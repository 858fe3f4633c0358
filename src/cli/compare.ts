// `vitlab compare DIR…`: runs side by side.
import path from 'node:path';
import { Command } from 'commander';
import { tableCsv, tableText } from '../plot/index.js';
import { compareRuns, readableTable, readRun, renderComparison, writeText } from '../recipes/index.js';

/** The `compare` command. */
export function compareCommand(): Command {
  return new Command('compare')
    .description('show runs side by side: a table here, figures and the same table as a page')
    .argument('<dir...>', 'run folders')
    .option('--html <file>', 'write a page of figures')
    .option('--csv <file>', 'write the table as CSV, numbers in full')
    .action((dirs: string[], { html, csv }: { html?: string; csv?: string }) => {
      const comparison = compareRuns(dirs.map((dir) => readRun(path.normalize(dir))));
      console.log(tableText(readableTable(comparison.table)));
      if (csv !== undefined) writeText(csv, tableCsv(comparison.table));
      if (html !== undefined) {
        writeText(html, renderComparison(comparison));
        console.log(`\nFigures: ${path.resolve(html)}`);
      }
    });
}
