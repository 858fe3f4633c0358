// `vitlab run --resume` and `--check` with trainings: whatever was killed, and when, the metrics are the same to the bit.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { readProvenance, readRun } from '../../src/recipes/runFolder.js';
import { type CellSpec, cli, notebookFolder, startCli } from '../recipes/support.js';
import { until } from '../support/processes.js';

/** Two trainings of a tiny model, each with a state file, slow enough to be hit. */
const RECIPE: readonly CellSpec[] = [
  { source: 'let seed = 3;\nlet pauseMs = 0;', tags: ['parameters'] },
  `import { fit, openLab, startEngine, tf, VisionTransformer } from './src/index.js';
   const engine = await startEngine();
   const lab = openLab({ engine });
   const batch = (index: number) => ({
     images: Float32Array.from({ length: 4 * 8 * 8 * 3 }, (_, i) => Math.sin(i * (index + 1))),
     labels: Int32Array.of(0, 1, 2, 3),
     shape: [4, 8, 8, 3] as const,
   });
   const source = {
     batches: 6,
     batchSize: 4,
     identity: 'sines',
     async *epoch(_epoch: number, { startBatch = 0 } = {}) {
       for (let index = startBatch; index < 6; index++) {
         if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
         yield batch(index);
       }
     },
   };
   const train = async (name: string) => {
     const model = new VisionTransformer({ imgSize: 8, patchSize: 4, embedDim: 16, depth: 1, numHeads: 2, numClasses: 4 });
     const result = await fit({
       model: model.initialize(seed),
       train: source,
       epochs: 3,
       optimizer: { name: 'momentum', momentum: 0.9 },
       schedule: { name: 'constant', baseLr: 0.01 },
       seed,
       checkpoint: lab.checkpointPath(name + '.safetensors'),
       checkpointSeconds: 0,
       label: name,
     });
     const weights = Object.values(model.stateDict()).map((value) => tf.sum(value).dataSync()[0]!);
     result.history.forEach(({ epoch, trainLoss }) => lab.record(name + '.loss' + epoch, trainLoss));
     lab.record(name + '.weights', weights.reduce((sum, value) => sum + value, 0));
     lab.measure(name + '.newSteps', result.resumed ? 0 : 1);
     console.log(name, 'trained, resumed:', result.resumed);
   };`,
  "await train('first');",
  "await train('second');",
];

describe('vitlab run, killed and resumed', () => {
  const { notebook, place } = notebookFolder();
  let file: string;
  let whole: Readonly<Record<string, number>>;
  const metricsOf = (dir: string) => readRun(dir).metrics;

  before(async () => {
    file = notebook('recipe', RECIPE);
    const { code, stdout } = await cli(['run', file, '--out', place('whole')]);
    assert.equal(code, 0, stdout);
    whole = metricsOf(place('whole'));
  });

  it('gives the same metrics to the bit a second time', async () => {
    assert.equal(Object.keys(whole).length, 8);
    const { code, stdout } = await cli(['run', '--check', place('whole'), '--out', place('again')]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /The same to the bit: 8 metrics/);
    assert.doesNotMatch(stdout, /(engine|threads|processor|version of \S+): /);
    assert.deepEqual(metricsOf(place('again')), whole);
    assert.equal(readProvenance(place('again')).threads, readProvenance(place('whole')).threads);
  });

  /** Moments to kill at, by what the run folder shows. */
  const moments: Record<string, { who: 'runner' | 'kernel' | 'both'; when: (dir: string) => boolean }> = {
    'its kernel starts': { who: 'runner', when: (dir) => existsSync(path.join(dir, 'provenance.json')) },
    'the first training goes on': {
      who: 'both',
      when: (dir) => existsSync(path.join(dir, 'checkpoints/first.safetensors')),
    },
    'the second training goes on': {
      who: 'kernel',
      when: (dir) => existsSync(path.join(dir, 'checkpoints/second.safetensors')),
    },
    'the second training goes on, its runner': {
      who: 'runner',
      when: (dir) => existsSync(path.join(dir, 'checkpoints/second.safetensors')),
    },
  };
  for (const [index, [moment, { who, when }]] of Object.entries(moments).entries()) {
    it(`ends the same when killed (${who}) while ${moment}`, async () => {
      const dir = place(`killed-${index}`);
      const { child, result } = startCli(['run', file, '-p', 'pauseMs=60', '--out', dir]);
      await until(() => when(dir), moment, 120_000);
      const { kernelPid } = readProvenance(dir);
      if (who !== 'kernel') child.kill('SIGKILL');
      if (who !== 'runner') process.kill(-kernelPid!, 'SIGKILL');
      const { code } = await result;
      const { status } = readProvenance(dir);
      assert.deepEqual([code, status], who === 'kernel' ? [5, 'died'] : [null, 'running']);
      assert.equal(existsSync(path.join(dir, 'report.html')), who === 'kernel');

      const resumed = await cli(['run', file, '--resume', '--out', dir]);
      assert.equal(resumed.code, 0, resumed.stdout + resumed.stderr);
      const { provenance, metrics, measurements } = readRun(dir);
      assert.deepEqual(metrics, whole);
      assert.equal(provenance.earlierAttempts.length, 1);
      const secondBegun = index >= 2;
      assert.deepEqual(measurements, { 'first.newSteps': index >= 1 ? 0 : 1, 'second.newSteps': secondBegun ? 0 : 1 });
    });
  }

  it('tells each metric that moved, and what else is not the same: 3', async () => {
    const dir = place('again');
    const metrics = { ...metricsOf(dir), 'first.weights': 0.5 };
    writeFileSync(path.join(dir, 'metrics.json'), JSON.stringify(metrics));
    const provenance = JSON.parse(readFileSync(path.join(dir, 'provenance.json'), 'utf8'));
    provenance.versions.tensorflow = '1.0.0';
    writeFileSync(path.join(dir, 'provenance.json'), JSON.stringify(provenance));
    const [junit, summary] = [place('check.xml'), place('check.md')];
    const args = ['run', '--check', dir, '--out', place('moved'), '--junit', junit, '--summary', summary];
    const { code, stdout } = await cli(args);
    assert.equal(code, 3, stdout);
    assert.match(stdout, /1 of 8 metrics moved:\nmetric +before +after\nfirst\.weights +0\.5 +-?\d/);
    assert.match(stdout, /Not the same as before:\n(.*\n)* {2}version of tensorflow: 1\.0\.0 before, \d/);
    assert.match(readFileSync(junit, 'utf8'), /failures="1"[\s\S]*first\.weights is .*, but exactly 0\.5 was expected/);
    assert.match(readFileSync(summary, 'utf8'), /\| ❌ \| first\.weights \| .* \| exactly 0\.5 \|/);
  });

  it('checks nothing that has not finished, and takes no other parameters: 2', async () => {
    const refused: [string[], RegExp][] = [
      [['--check', place('whole'), file], /takes no notebooks/],
      [['--check', place('whole'), '-p', 'seed=1'], /takes no -p/],
      [[], /Name the notebooks/],
    ];
    for (const [args, message] of refused) {
      const { code, stderr } = await cli(['run', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
    const provenance = JSON.parse(readFileSync(path.join(place('moved'), 'provenance.json'), 'utf8'));
    writeFileSync(path.join(place('moved'), 'provenance.json'), JSON.stringify({ ...provenance, status: 'died' }));
    const { code, stderr } = await cli(['run', '--check', place('moved')]);
    assert.equal(code, 2);
    assert.match(stderr, /its run is died, and only one that has finished can be/);
  });
});
