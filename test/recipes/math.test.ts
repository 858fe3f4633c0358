import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markdownHtml } from '../../src/recipes/markdown.js';
import { mathHtml } from '../../src/recipes/math.js';

/** The inside of the element. */
const inner = (tex: string) => /<mrow>(.*)<\/mrow><\/math>$/s.exec(mathHtml(tex, false))?.[1];

describe('math', () => {
  it('sets letters, numbers and operators', () => {
    assert.equal(inner('x = 2.5 - \\alpha'), '<mi>x</mi><mo>=</mo><mn>2.5</mn><mo>−</mo><mi>α</mi>');
  });

  it('sets scripts, also both at once and primes', () => {
    assert.equal(inner('W_{up}'), '<msub><mi>W</mi><mrow><mrow><mi>u</mi><mi>p</mi></mrow></mrow></msub>');
    assert.equal(inner('x_i^2'), '<msubsup><mi>x</mi><mrow><mi>i</mi></mrow><mrow><mn>2</mn></mrow></msubsup>');
    assert.equal(inner("x'"), '<msup><mi>x</mi><mrow><mo>′</mo></mrow></msup>');
    assert.match(inner('\\sum_{i=1}^N i')!, /^<munderover><mo>∑<\/mo>/);
  });

  it('sets fractions, roots, names and delimiters', () => {
    assert.equal(inner('\\frac{a}2'), '<mfrac><mrow><mrow><mi>a</mi></mrow></mrow><mrow><mn>2</mn></mrow></mfrac>');
    assert.equal(inner('\\sqrt{d}'), '<msqrt><mrow><mi>d</mi></mrow></msqrt>');
    assert.equal(
      inner('\\operatorname{ReLU}(y)'),
      '<mi mathvariant="normal">ReLU</mi><mo stretchy="false">(</mo><mi>y</mi><mo stretchy="false">)</mo>',
    );
    assert.equal(inner('\\left[x\\right.'), '<mo stretchy="true">[</mo><mi>x</mi>');
  });

  it('escapes, and keeps what it does not know', () => {
    assert.equal(inner('a < b'), '<mi>a</mi><mo>&lt;</mo><mi>b</mi>');
    assert.equal(inner('\\unknown'), '<mtext>\\unknown</mtext>');
    assert.match(mathHtml('"<', false), /aria-label="&quot;&lt;"/);
  });

  it('comes to an end on any text', () => {
    for (const tex of ['', '{', '}', '^', '_', 'x_', '\\', '\\frac', '\\left', '\\text{', '{{', "'", '\\sqrt{']) {
      assert.match(mathHtml(tex, true), /^<math display="block".*<\/math>$/s, tex);
    }
  });

  it('stands in Markdown, where money does not', () => {
    const html = markdownHtml('The rate $\\eta_t$ and\n\n$$ y = W_{a} * x * b_{c} $$\n\ncosts 5$ or $6, `$x$`');
    assert.match(html, /<p>The rate <math aria-label="\\eta_t">/);
    assert.match(html, /<math display="block"/);
    assert.match(html, /costs 5\$ or \$6, <code>\$x\$<\/code>/);
    assert.doesNotMatch(html, /<em>/);
  });
});
