import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isClaimed } from '../../src/recipes/claim.js';
import { planRuns, readParams } from '../../src/recipes/plan.js';
import { newProvenance } from '../../src/recipes/provenance.js';
import type { Provenance } from '../../src/recipes/runFolder.js';
import { temporaryFolder, writeNotebookFile } from './support.js';

const CELLS = [{ source: 'let epochs = 3;\nlet seed = 0;', tags: ['parameters'] }, 'console.log(epochs)'];
const CONTRACT = { profiles: { quick: { epochs: 1 }, standard: { epochs: 2 } } };

describe('planning', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let notebook: string;
  let before: string;

  beforeEach(() => {
    folder = temporaryFolder();
    notebook = writeNotebookFile(folder.dir, 'recipe', CELLS, CONTRACT);
    before = process.cwd();
    process.chdir(folder.dir);
  });
  afterEach(() => {
    process.chdir(before);
    folder.remove();
  });

  const writeRun = (dir: string, changes: Partial<Provenance> = {}) => {
    const provenance = newProvenance({
      status: 'interrupted',
      exitCode: 130,
      notebook: 'recipe.ipynb',
      profile: 'quick',
      parameters: { epochs: 5, seed: 1 },
      seconds: 12,
      ...changes,
    });
    mkdirSync(dir, { recursive: true });
    writeFileSync(path.join(dir, 'provenance.json'), JSON.stringify(provenance));
  };

  it('takes the profile, then the overrides', () => {
    const [quick] = planRuns({ notebooks: [notebook], profile: 'quick', out: 'a', texts: { seed: '4' } });
    assert.deepEqual(quick!.parameters, { epochs: 1, seed: 4 });
    assert.equal(quick!.runDir, path.resolve('a'));
    const [standard] = planRuns({ notebooks: [notebook], out: 'b' });
    assert.deepEqual([standard!.profile, standard!.parameters['epochs']], ['standard', 2]);
  });

  it('refuses profiles that there are not', () => {
    assert.throws(
      () => planRuns({ notebooks: [notebook], profile: 'fast' }),
      /no profile 'fast'.*quick, standard, paper/,
    );
    assert.throws(
      () => planRuns({ notebooks: [notebook], profile: 'paper' }),
      /no profile 'paper'. It has quick, standard/,
    );
  });

  it('names folders after the notebook and the time, and never shares one', () => {
    const dirs = [1, 2, 3].map(() => planRuns({ notebooks: [notebook] })[0]!.runDir);
    assert.equal(new Set(dirs).size, 3);
    for (const dir of dirs) assert.match(path.relative(folder.dir, dir), /^runs.recipe-\d{8}-\d{6}(-\d)?$/);
  });

  it('gives several notebooks a folder each below --out', () => {
    const other = writeNotebookFile(folder.dir, 'other', CELLS);
    const plans = planRuns({ notebooks: [notebook, other], out: 'both' });
    assert.deepEqual(
      plans.map(({ runDir }) => path.relative(folder.dir, runDir)),
      ['both/recipe', 'both/other'],
    );
    assert.throws(
      () => planRuns({ notebooks: [notebook, notebook], out: 'both' }),
      /Two notebooks are called 'recipe'/,
    );
  });

  it('makes no folder where one notebook does not fit', () => {
    const other = writeNotebookFile(folder.dir, 'other', ['1']);
    assert.throws(() => planRuns({ notebooks: [notebook, other], texts: { epochs: '1' } }), /no parameter 'epochs'/);
    assert.equal(existsSync('runs'), false);
    assert.throws(() => planRuns({ notebooks: ['missing.ipynb'] }), /Cannot read the notebook/);
    writeFileSync('text.ipynb', 'hello');
    assert.throws(() => planRuns({ notebooks: ['text.ipynb'] }), { name: 'UsageError' });
    writeFileSync('three.ipynb', '{"nbformat": 3}');
    assert.throws(() => planRuns({ notebooks: ['three.ipynb'] }), /not a notebook of format 4/);
    assert.deepEqual(
      readdirSync('.').filter((name) => !name.endsWith('.ipynb')),
      [],
    );
  });

  it('never writes over a run', () => {
    writeRun('old');
    assert.throws(() => planRuns({ notebooks: [notebook], out: 'old' }), /holds a run already.*--resume/);
  });

  it('resumes with the parameters and the profile of the run', () => {
    writeRun('old');
    const [plan] = planRuns({ notebooks: [notebook], out: 'old', resume: true });
    assert.deepEqual(plan!.parameters, { epochs: 5, seed: 1 });
    assert.deepEqual([plan!.profile, plan!.earlier!.status], ['quick', 'interrupted']);
    plan!.claim.release();
    const again = planRuns({
      notebooks: [notebook],
      out: 'old',
      resume: true,
      texts: { epochs: '5' },
      profile: 'quick',
    });
    assert.equal(again[0]!.runDir, path.resolve('old'));
    again[0]!.claim.release();
    const change = { notebooks: [notebook], out: 'old', resume: true };
    assert.throws(
      () => planRuns({ ...change, texts: { epochs: '6' } }),
      /started with epochs = 5.*cannot go on with 6/,
    );
    assert.throws(() => planRuns({ ...change, profile: 'standard' }), /started with profile quick/);
    assert.equal(isClaimed('old'), false);
  });

  it('refuses a folder in which a process runs', () => {
    writeRun('old', { status: 'running' });
    const [fresh] = planRuns({ notebooks: [notebook], out: 'new' });
    assert.throws(() => planRuns({ notebooks: [notebook], out: 'new' }), { name: 'UsageError', message: /is in use/ });
    assert.throws(() => planRuns({ notebooks: [notebook], out: 'new', resume: true }), /is in use/);
    fresh!.claim.release();
    const [resumed] = planRuns({ notebooks: [notebook], out: 'old', resume: true });
    assert.throws(() => planRuns({ notebooks: [notebook], resume: true, out: 'old' }), /process \d+ runs in it/);
    resumed!.claim.release();
  });

  it('resumes the newest unfinished run where no folder is named', () => {
    assert.throws(() => planRuns({ notebooks: [notebook], resume: true }), /no unfinished run of 'recipe'/);
    writeRun('runs/recipe-20260101-000000');
    writeRun('runs/recipe-20260102-000000');
    writeRun('runs/recipe-20260103-000000', { status: 'finished', exitCode: 0 });
    writeRun('runs/recipe-other-20260104-000000');
    const [plan] = planRuns({ notebooks: [notebook], resume: true });
    assert.equal(path.basename(plan!.runDir), 'recipe-20260102-000000');
  });

  it('reads parameters from JSON and YAML files', () => {
    writeFileSync('p.json', '{"epochs": 4, "list": [1, "a"]}');
    writeFileSync('p.yaml', 'epochs: 4\nlist:\n  - 1\n  - a\n');
    assert.deepEqual(readParams('p.json'), { epochs: 4, list: [1, 'a'] });
    assert.deepEqual(readParams('p.yaml'), readParams('p.json'));
    writeFileSync('empty.yaml', '# nothing\n');
    assert.deepEqual(readParams('empty.yaml'), {});
    writeFileSync('list.yaml', '- 1\n');
    assert.throws(() => readParams('list.yaml'), { name: 'UsageError', message: /name: value/ });
    assert.throws(() => readParams('missing.yaml'), { name: 'UsageError', message: /Cannot read the parameters/ });
    writeFileSync('bad.json', '{"a": ');
    assert.throws(() => readParams('bad.json'), { name: 'UsageError' });
  });
});
