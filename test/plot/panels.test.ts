import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { barsFigure, curvesFigure, panelsFigure } from '../../src/plot/index.js';

describe('panels', () => {
  it('puts figures side by side, with one legend', () => {
    const curves = (y: number[], title: string) =>
      curvesFigure(
        [
          { name: 'a', x: [1, 2], y },
          { name: 'b', x: [1, 2], y },
        ],
        { title, x: { label: 'epoch' } },
      );
    const { data, layout } = panelsFigure([curves([1, 2], 'Loss'), curves([3, 4], 'Accuracy')], { height: 300 });
    assert.deepEqual(
      data.map((trace) => {
        const { name, xaxis, yaxis, showlegend } = trace as Record<string, unknown>;
        return [name, xaxis, yaxis, showlegend];
      }),
      [
        ['a', 'x', 'y', true],
        ['b', 'x', 'y', true],
        ['a', 'x2', 'y2', false],
        ['b', 'x2', 'y2', false],
      ],
    );
    const { xaxis, xaxis2, yaxis2, annotations, showlegend, height } = layout as Record<string, never>;
    const [left, right] = [xaxis, xaxis2] as unknown as { domain: number[]; title: { text: string } }[];
    assert.ok(left!.domain[0] === 0 && left!.domain[1]! < right!.domain[0]!);
    assert.ok(Math.abs(right!.domain[1]! - 1) < 1e-9);
    assert.deepEqual([left!.title.text, (yaxis2 as { anchor: string }).anchor], ['epoch', 'x2']);
    assert.deepEqual(
      (annotations as { text: string }[]).map(({ text }) => text),
      ['Loss', 'Accuracy'],
    );
    assert.deepEqual([showlegend, height], [true, 300]);
  });

  it('needs no legend for one name, and at least one figure', () => {
    const bars = barsFigure(['x'], [{ name: 'only', values: [1] }]);
    assert.equal(panelsFigure([bars, bars]).layout.showlegend, false);
    assert.throws(() => panelsFigure([]), { name: 'UsageError' });
  });
});
