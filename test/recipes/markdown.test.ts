import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markdownHtml } from '../../src/recipes/markdown.js';

const html = (source: string) => markdownHtml(source).replace(/\n/g, '');

describe('markdown', () => {
  it('renders blocks', () => {
    assert.equal(html('# A\n\ntext\nmore\n\n## B #'), '<h1>A</h1><p>textmore</p><h2>B</h2>');
    assert.equal(markdownHtml('# A', { headingOffset: 2 }), '<h3>A</h3>');
    assert.equal(html('```ts\na < b\n```\nafter'), '<pre><code>a &lt; b</code></pre><p>after</p>');
    assert.equal(html('```\nnever closed'), '<pre><code>never closed</code></pre>');
    assert.equal(html('> quoted\n> too'), '<blockquote><p>quotedtoo</p></blockquote>');
    assert.equal(html('---'), '<hr>');
  });

  it('renders lists', () => {
    assert.equal(html('- a\n- b\n  - c\n- d'), '<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>');
    assert.equal(html('3. x\n4. y'), '<ol start="3"><li>x</li><li>y</li></ol>');
  });

  it('renders tables', () => {
    const table = html('| a | b |\n|---|--:|\n| 1 | `x\\|y` |\n\nafter');
    assert.match(table, /<th scope="col">a<\/th><th scope="col" style="text-align:right">b<\/th>/);
    assert.match(table, /<td>1<\/td><td style="text-align:right"><code>x\|y<\/code><\/td>/);
    assert.match(table, /<p>after<\/p>$/);
  });

  it('renders inline marks', () => {
    assert.equal(
      html('**bold *both*** _em_ `a*b*` snake_case_name 2 * 3 * 4'),
      '<p><strong>bold <em>both</em></strong> <em>em</em> <code>a*b*</code> snake_case_name 2 * 3 * 4</p>',
    );
    assert.equal(html('[x](https://a.b/c?d=e&f)'), '<p><a href="https://a.b/c?d=e&amp;f" rel="noreferrer">x</a></p>');
    assert.equal(html('\\*plain\\*'), '<p>*plain*</p>');
  });

  it('escapes what could run', () => {
    assert.equal(html('<script>alert(1)</script>'), '<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>');
    assert.equal(html('[x](javascript:alert)'), '<p>x</p>');
    assert.doesNotMatch(html('[x](https://a"onclick="b)'), /"onclick/);
    assert.equal(html('![<b>](https://a/b.png)'), '<p>&lt;b&gt;</p>');
  });

  it('comes to an end on any text', () => {
    for (const source of [
      '|',
      '-',
      '#',
      '>',
      '`',
      '```',
      '1.',
      '*',
      '**',
      '[',
      '[]()',
      ' - a\n b',
      '|\n|-|',
      '\n\n',
      '*a',
      '\\',
    ]) {
      assert.equal(typeof markdownHtml(source), 'string', source);
      assert.equal(typeof markdownHtml(`${source}\n${source}`), 'string', source);
    }
  });
});
