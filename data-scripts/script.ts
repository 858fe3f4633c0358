// Runs the command of a data script: errors are one line on stderr and an exit status, without a stack.
import type { Command } from 'commander';
import { VitlabError } from '../src/errors.js';

export function runScript(command: Command): void {
  command.parseAsync().catch((error: unknown) => {
    console.error(error instanceof VitlabError ? error.message : error);
    process.exitCode = error instanceof VitlabError ? error.exitCode : 1;
  });
}
