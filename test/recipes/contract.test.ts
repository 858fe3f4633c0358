import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkMetrics, contractOf, rangeText } from '../../src/recipes/contract.js';
import type { Notebook } from '../../src/recipes/notebook.js';
import { notebookJson } from './support.js';

const contract = (vitlab?: unknown) => contractOf(notebookJson([], vitlab) as unknown as Notebook, 'x.ipynb');

describe('contract', () => {
  it('is empty where a notebook has none', () => {
    assert.deepEqual(contract(), { reproduces: '', expects: {}, profiles: {} });
  });

  it('names what is wrong in it', () => {
    const cases: [unknown, RegExp][] = [
      [{ expect: {} }, /expect/],
      [{ expects: { accuracy: { fast: { min: 0 } } } }, /fast/],
      [{ expects: { accuracy: { quick: {} } } }, /needs min, max or both/],
      [{ expects: { accuracy: { quick: { min: 2, max: 1 } } } }, /min is above max/],
      [{ expects: { accuracy: { min: 0 } } }, /accuracy/],
      [{ profiles: { quick: 3 } }, /quick/],
    ];
    for (const [vitlab, message] of cases) {
      assert.throws(() => contract(vitlab), { name: 'UsageError', message }, JSON.stringify(vitlab));
    }
  });

  it('checks the metrics of its profile alone', () => {
    const given = contract({
      expects: {
        accuracy: { quick: { min: 0.4, max: 0.6 }, paper: { min: 0.9 } },
        loss: { quick: { max: 1 } },
        steps: { quick: { min: 1 } },
      },
    });
    const checks = checkMetrics(given, 'quick', { accuracy: 0.6, loss: 1.01, other: 3 });
    assert.deepEqual(
      checks.map(({ metric, seen, passed }) => [metric, seen, passed]),
      [
        ['accuracy', 0.6, true],
        ['loss', 1.01, false],
        ['steps', undefined, false],
      ],
    );
    assert.equal(checkMetrics(given, 'paper', { accuracy: 0.89 })[0]!.passed, false);
    assert.deepEqual(checkMetrics(given, 'standard', {}), []);
  });

  it('says ranges in words', () => {
    const ranges = [{ min: 1 }, { max: 2 }, { min: 1, max: 2 }, { min: 3, max: 3 }];
    assert.deepEqual(ranges.map(rangeText), ['at least 1', 'at most 2', '1 to 2', 'exactly 3']);
  });
});
