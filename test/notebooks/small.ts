// The notebooks of the repository, each with parameters that make it small.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { type Notebook, readNotebook } from '../../src/recipes/notebook.js';
import { declaredParameters, injectParameters, resolveParameters } from '../../src/recipes/parameters.js';
import { readParams } from '../../src/recipes/plan.js';
import { ROOT } from '../recipes/support.js';

export interface SmallRecipe {
  /** `04-adaptformer` */
  readonly name: string;
  readonly file: string;
  /** The file with its small parameters: `test/notebooks/04-adaptformer.yaml`. */
  readonly params: string;
}

/** Every notebook of the repository. */
export const RECIPES: readonly SmallRecipe[] = readdirSync(path.join(ROOT, 'notebooks'))
  .filter((entry) => entry.endsWith('.ipynb'))
  .sort()
  .map((entry) => {
    const name = path.basename(entry, '.ipynb');
    return { name, file: path.join(ROOT, 'notebooks', entry), params: path.join(__dirname, `${name}.yaml`) };
  });

/** The notebook with its small parameters assigned in a cell after their declaration. */
export function smallNotebook({ file, params }: SmallRecipe): Notebook {
  const notebook = readNotebook(file);
  const declared = declaredParameters(notebook, file);
  return injectParameters(notebook, declared, resolveParameters(declared, { file: readParams(params) }, file));
}
