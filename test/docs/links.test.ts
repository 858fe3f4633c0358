// Links within the documentation lead somewhere: files, and headings in them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readNotebook } from '../../src/recipes/notebook.js';

const ROOT = path.resolve(__dirname, '../..');
const listed = (folder: string, ending: string) =>
  readdirSync(path.join(ROOT, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name));
const PAGES = ['.', 'docs', 'docs/reproducing', 'docs/gallery', 'kernel'].flatMap((folder) => listed(folder, '.md'));
const NOTEBOOKS = listed('notebooks', '.ipynb');

const textOf = (file: string): string =>
  file.endsWith('.ipynb')
    ? readNotebook(path.join(ROOT, file))
        .cells.filter((cell) => cell.cell_type === 'markdown')
        .map(({ source }) => source)
        .join('\n\n')
    : readFileSync(path.join(ROOT, file), 'utf8');
const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '`');

/** The anchors that GitHub gives to headings. */
const anchorsOf = (text: string): string[] =>
  [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ +(.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );

/** The links of a page that lead nowhere. */
function broken(file: string, text: string): string[] {
  return [...withoutCode(text).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .filter((target) => {
      const [place, anchor] = target.split('#') as [string, string?];
      const other = place === '' ? file : path.join(path.dirname(file), place);
      if (!existsSync(path.join(ROOT, other))) return true;
      return anchor !== undefined && !anchorsOf(place === '' ? text : textOf(other)).includes(anchor);
    });
}

describe('links', () => {
  for (const file of [...PAGES, ...NOTEBOOKS]) {
    it(`of ${file} lead somewhere`, () => assert.deepEqual(broken(file, textOf(file)), []));
  }

  it('are seen where they lead nowhere', () => {
    const text =
      '# A & b\n[x](#a--b) [y](#c) [z](none.md) [n](docs/recipes.md#nothing) ![p](https://example.org/p.png)';
    assert.deepEqual(broken('README.md', text), ['#c', 'none.md', 'docs/recipes.md#nothing']);
  });

  it('reach every page from the README', () => {
    const reached = new Set<string>();
    const follow = (file: string): void => {
      if (reached.has(file) || !file.endsWith('.md')) return;
      reached.add(file);
      for (const [, target] of textOf(file).matchAll(/\]\(([^()\s#]+\.md)(?:#[^()]*)?\)/g)) {
        const next = path.join(path.dirname(file), target!);
        if (existsSync(path.join(ROOT, next))) follow(next);
      }
    };
    follow('README.md');
    const pages = execFileSync('git', ['ls-files', 'docs/*.md', 'kernel/*.md'], { cwd: ROOT, encoding: 'utf8' });
    assert.deepEqual(
      pages
        .trim()
        .split('\n')
        .filter((page) => !reached.has(page)),
      [],
    );
  });
});
