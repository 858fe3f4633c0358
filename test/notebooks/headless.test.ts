// Every notebook in notebooks/, run small and headless: whoever adds NN-name.ipynb adds test/notebooks/NN-name.yaml, a
// file of --params that makes it as small as it can be (aim at 15 seconds on two cores):
//
//   npx vitlab run notebooks/NN-name.ipynb --profile quick --params test/notebooks/NN-name.yaml
//
// Of its expected metrics, all must be recorded. Those that are one exact number in every profile follow from
// mathematics alone, so they must be right at any size; bounds on what was learnt are for whole runs.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkNotebook } from '../../src/recipes/checkNotebook.js';
import { type Contract, contractOf, PROFILES } from '../../src/recipes/contract.js';
import { readNotebook, writeNotebook } from '../../src/recipes/notebook.js';
import { readRun } from '../../src/recipes/runFolder.js';
import { cli, temporaryFolder } from '../recipes/support.js';
import { RECIPES, type SmallRecipe } from './small.js';

const ANY = { min: -Number.MAX_VALUE };

/** The expected metrics: those that are one number in all profiles as they are, of the others any value. */
function smallExpectations(expects: Contract['expects']): Contract['expects'] {
  return Object.fromEntries(
    Object.entries(expects).map(([metric, ranges]) => {
      const { min, max } = ranges.quick ?? {};
      const exact =
        min !== undefined && PROFILES.every((name) => ranges[name]?.min === min && ranges[name]?.max === min);
      return [metric, { quick: exact && max === min ? { min, max } : ANY }];
    }),
  );
}

describe('notebooks', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  before(() => {
    folder = temporaryFolder();
  });
  after(() => folder.remove());

  const runSmall = async ({ name, file, params }: SmallRecipe) => {
    const notebook = readNotebook(file);
    const contract = contractOf(notebook, file);
    const vitlab = { ...contract, expects: smallExpectations(contract.expects) };
    const copy = path.join(folder.dir, `${name}.ipynb`);
    writeNotebook(copy, { ...notebook, metadata: { ...notebook.metadata, vitlab } });
    const dir = path.join(folder.dir, name);
    const result = await cli(['run', copy, '--profile', 'quick', '--params', params, '--out', dir]);
    return { ...result, dir, expected: Object.keys(contract.expects) };
  };

  for (const recipe of RECIPES) {
    describe(recipe.name, () => {
      it('is in the form that git keeps, with a whole contract', () => {
        assert.deepEqual(checkNotebook(recipe.file), []);
      });

      it('has small parameters beside this test', () => {
        assert.ok(existsSync(recipe.params), `${recipe.params} is missing; the head of this test says what it holds.`);
      });

      it('runs, records what it promises, and describes its figures', async () => {
        const { code, stdout, stderr, dir, expected } = await runSmall(recipe);
        assert.equal(code, 0, `${stdout}${stderr}`);
        const { provenance, metrics, records } = readRun(dir);
        assert.equal(provenance.status, 'finished');
        for (const metric of expected) assert.ok(metric in metrics, metric);
        const figures = records!.items.filter((item) => item.kind === 'figure');
        assert.ok(figures.length > 0, 'it draws nothing');
        for (const { name, alt } of figures) assert.match(alt, /\w+ \w+/, `figure ${name} has no alternative text`);
        assert.ok(records!.data.length > 0, 'it names no data set: lab.data(…)');
        const { cells } = readNotebook(path.join(dir, 'notebook.ipynb'));
        const said = cells.flatMap(({ outputs = [] }) => outputs).filter(({ name }) => name === 'stderr');
        assert.deepEqual(said, [], 'it writes to stderr');
        assert.match(readFileSync(path.join(dir, 'report.html'), 'utf8'), /<\/html>\s*$/);
      });
    });
  }
});
