// The page that shows runs side by side.
import { escapeHtml, tableHtml } from '../plot/index.js';
import { plural } from '../words.js';
import { type Comparison, readableTable } from './compare.js';
import { plotSlot, renderPage } from './page.js';

/** One self-contained HTML page: the table, then the figures. */
export function renderComparison({ groups, table, figures }: Comparison): string {
  const runs = groups.reduce((sum, group) => sum + group.runs.length, 0);
  const title = `${plural(runs, 'run')} compared`;
  const setups = plural(groups.length, 'set-up');
  const plots = figures.map(
    ({ alt }, i) =>
      `<figure>${plotSlot(i, alt)}<figcaption><b>Figure ${i + 1}.</b> ${escapeHtml(alt)}</figcaption></figure>`,
  );
  const body = `<header class="wide">
<p class="over">vitlab compare</p>
<h1>${title}</h1>
<p class="facts"><span>${setups}; runs that differ in their seed alone are drawn together</span></p>
</header>
<nav class="wide" aria-label="Sections"><ul><li><a href="#runs">Runs</a></li>${plots.length ? '<li><a href="#figures">Figures</a></li>' : ''}</ul></nav>
<main id="content" class="wide">
<section aria-labelledby="runs"><h2 id="runs">Runs</h2>
<div class="scroll" tabindex="0">${tableHtml(readableTable(table))}</div></section>
${plots.length ? `<section aria-labelledby="figures"><h2 id="figures">Figures</h2>\n<div class="grid">${plots.join('\n')}</div></section>` : ''}
</main>`;
  return renderPage({
    title,
    body,
    figures: figures.map(({ figure }) => figure),
    footer: 'vitlab · this page needs no network',
  });
}
