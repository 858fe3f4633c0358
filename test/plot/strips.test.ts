import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripFigure } from '../../src/plot/index.js';

describe('rows of dots', () => {
  it('lie from the top down, each of its own colour and shape', () => {
    const samples = [
      { name: 'old', values: [0, 1] },
      { name: 'new', values: Float32Array.of(0.25, 0.75, 1.25) },
    ];
    const { data, layout } = stripFigure(samples, { x: { label: 'position' } });
    const [first, second] = data as { x: number[]; y: string[]; marker: unknown }[];
    assert.deepEqual(
      [first!.x, first!.y],
      [
        [0, 1],
        ['old', 'old'],
      ],
    );
    assert.deepEqual(
      [second!.x, second!.y],
      [
        [0.25, 0.75, 1.25],
        ['new', 'new', 'new'],
      ],
    );
    assert.notDeepEqual(first!.marker, second!.marker);
    assert.deepEqual([layout.yaxis?.autorange, layout.showlegend], ['reversed', false]);
    assert.deepEqual(JSON.parse(JSON.stringify({ data, layout })), { data, layout });
  });

  it('have a tick for each of a few steps', () => {
    const ticks = (...values: number[]) => stripFigure([{ name: 'a', values }]).layout.xaxis?.dtick;
    assert.deepEqual([ticks(-0.2, 7.2), ticks(0.1, 0.2), ticks(0, 100)], [1, undefined, undefined]);
  });

  it('need samples with names of their own', () => {
    assert.throws(() => stripFigure([]), { name: 'UsageError', message: /got none/ });
    const sample = { name: 'a', values: [1] };
    assert.throws(() => stripFigure([sample, sample]), { name: 'UsageError', message: /called 'a'/ });
  });
});
