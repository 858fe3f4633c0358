import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UsageError } from '../../src/errors.js';
import { histogramFigure } from '../../src/plot/index.js';

type Outline = { x: number[]; y: number[] };

describe('histogramFigure', () => {
  it('draws densities over common bins, the largest value in the last', () => {
    const samples = [
      { name: 'four', values: [0, 1, 1, 4] },
      { name: 'one', values: Float32Array.of(2) },
    ];
    const { data } = histogramFigure(samples, { bins: 4 });
    const [four, one] = data as unknown as [Outline, Outline];
    assert.deepEqual(four.x, [0, 0, 1, 2, 3, 4, 4]);
    assert.deepEqual(four.y, [0, 0.25, 0.5, 0, 0.25, 0.25, 0]);
    assert.deepEqual(one.y.slice(1, -2), [0, 0, 1, 0]);
  });

  it('leaves out what lies outside of its range, and marks places', () => {
    const marks = [{ x: 0.5, label: 'bound' }, { x: 0.7 }];
    const { data, layout } = histogramFigure([{ name: 'a', values: [-9, 0.2, 0.8, 9] }], {
      bins: 2,
      range: [0, 1],
      marks,
    });
    assert.deepEqual((data[0] as unknown as Outline).y.slice(1, -2), [0.5, 0.5]);
    assert.deepEqual(
      layout.shapes?.map(({ x0 }) => x0),
      [0.5, 0.7],
    );
    assert.deepEqual(
      layout.annotations?.map(({ text }) => text),
      ['bound'],
    );
  });

  it('refuses what has no density', () => {
    const refuse = (values: number[], options = {}): void =>
      assert.throws(() => histogramFigure([{ name: 'a', values }], options), UsageError);
    refuse([]);
    refuse([1, Number.NaN]);
    refuse([2, 2]);
    refuse([1, 2], { bins: 0 });
  });
});
