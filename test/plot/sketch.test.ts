import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { barsFigure, curvesFigure, panelsFigure, sketchSvg } from '../../src/plot/index.js';

const curves = (name: string, y: number[], title = '') =>
  curvesFigure([{ name, x: [1, 2, 4], y }], { title, x: { label: 'step' }, y: { percent: true } });

describe('sketch', () => {
  it('draws the lines of panels to scale, with axes, titles and one legend', () => {
    const svg = sketchSvg(
      panelsFigure([curves('a <b>', [0, 0.5, 1], 'Loss'), curves('a <b>', [1, Number.NaN, 0], 'Top')]),
    );
    const paths = [...svg.matchAll(/<path d="M([\d. L]+)" fill="none" stroke="#1f77c9"/g)].map(([, points]) =>
      points!.split('L').map((point) => point.split(' ').map(Number) as [number, number]),
    );
    const [rising, falling] = paths as [[number, number][], [number, number][]];
    const [first, second, third] = rising as [[number, number], [number, number], [number, number]];
    assert.ok(Math.abs((third[0] - second[0]) / (second[0] - first[0]) - 2) < 0.02, 'x to scale');
    assert.ok(Math.abs((third[1] - second[1]) / (second[1] - first[1]) - 1) < 0.02 && third[1] < first[1], 'y upwards');
    assert.equal(falling.length, 2, 'a gap is left out');
    assert.ok(falling[0]![0] > third[0], 'the second panel is to the right');
    const texts = [...svg.matchAll(/<text [^>]*>([^<]*)</g)].map(([, text]) => text);
    assert.equal(texts.filter((text) => text === 'a &lt;b&gt;').length, 1);
    for (const text of ['Loss', 'Top', 'step', '0%', '100%', '4']) assert.ok(texts.includes(text), text);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  });

  it('gives percentages in a narrow range the digits that they need', () => {
    const svg = sketchSvg(curves('a', [0.281, 0.283, 0.286]));
    const texts = [...svg.matchAll(/>([\d.]+%)</g)].map(([, text]) => text);
    assert.ok(texts.includes('28.2%') && new Set(texts).size === texts.length, texts.join());
  });

  it('draws axes where there is nothing yet, or one point', () => {
    for (const y of [[], [0.25]]) {
      const svg = sketchSvg(curvesFigure([{ name: 'a', x: y.map((_, i) => i), y }]));
      assert.match(svg, /<text/);
      assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    }
  });

  it('refuses what is not made of lines', () => {
    assert.throws(() => sketchSvg(barsFigure(['x'], [{ name: 'a', values: [1] }])), /'bar'/);
  });
});
