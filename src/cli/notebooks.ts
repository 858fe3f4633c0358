// `vitlab notebooks clean|check`: notebooks as they belong into git.
import fs from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { VitlabError } from '../errors.js';
import { checkNotebook, cleanNotebook, ROOT, readNotebook, writeText } from '../recipes/index.js';

const FOLDER = path.join(ROOT, 'notebooks');

/** The `notebooks` command. */
export function notebooksCommand(): Command {
  return new Command('notebooks')
    .description('bring notebooks into the form in which they belong into git')
    .addCommand(
      new Command('clean')
        .description('remove outputs, counts and what runs leave; sort keys; what is clean is not touched')
        .argument('[notebook...]', 'notebooks (default: all in notebooks/)')
        .action((files: string[]) => {
          for (const file of files.length ? files : allNotebooks()) {
            const clean = cleanNotebook(readNotebook(file));
            const changes = clean !== fs.readFileSync(file, 'utf8');
            if (changes) writeText(file, clean);
            console.log(`${path.relative(process.cwd(), file)}: ${changes ? 'cleaned' : 'clean'}`);
          }
        }),
    )
    .addCommand(
      new Command('check')
        .description(
          'say what keeps notebooks from being recipes in git: form, contract, parameters, metrics, language',
        )
        .argument('[notebook...]', 'notebooks (default: all in notebooks/)')
        .action((files: string[]) => {
          const all = (files.length ? files : allNotebooks()).map((file) => ({ file, problems: checkNotebook(file) }));
          for (const { file, problems } of all) {
            const name = path.relative(process.cwd(), file);
            console.log(problems.length ? problems.map((text) => `${name}: ${text}`).join('\n') : `${name}: good`);
          }
          if (all.some(({ problems }) => problems.length)) process.exitCode = 1;
        }),
    );
}

function allNotebooks(): string[] {
  const files = fs.existsSync(FOLDER) ? fs.readdirSync(FOLDER).filter((name) => name.endsWith('.ipynb')) : [];
  if (files.length === 0) throw new VitlabError(`There are no notebooks in ${FOLDER}.`);
  return files.sort().map((name) => path.join(FOLDER, name));
}
