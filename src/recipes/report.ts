// The report of a run: one HTML page that stands for itself, also on a phone, in the dark and without a network.
import { VitlabError } from '../errors.js';
import { escapeHtml, formatNumber, type Table, tableHtml } from '../plot/index.js';
import { type Check, type Contract, checkMetrics, rangeText } from './contract.js';
import { markdownHtml } from './markdown.js';
import { type Cell, hasTag, type Notebook } from './notebook.js';
import { plotSlot, renderPage } from './page.js';
import { durationText } from './progress.js';
import { provenanceHtml } from './provenanceHtml.js';
import { cellsHtml } from './reportCells.js';
import { FILES, type Item, type Provenance, type Run, readJson } from './runFolder.js';

/** A figure or a table. */
type Kept = Exclude<Item, { kind: 'note' }>;

/** The page for a run; `notebook` is the executed one. Reads the figures and tables of the run folder. */
export function renderReport(run: Run, notebook: Notebook, contract: Contract): string {
  const { provenance, metrics, measurements } = run;
  const figures: unknown[] = [];
  const addFigure = (figure: unknown) => figures.push(figure) - 1;
  const intro = introOf(notebook.cells);
  const name = provenance.notebook.replace(/^.*\//, '');
  const { title, rest } = splitTitle(intro?.source ?? '', name);
  const checks = checkMetrics(contract, provenance.profile, metrics);
  const { html: results, linkTo } = resultsHtml(run, addFigure);
  const sections = [
    section('Metrics', metricsHtml(metrics, checks)),
    section('Measurements', measurementsHtml(measurements)),
    section('Results', results),
    section('Parameters', parametersHtml(provenance, notebook)),
    section('Notebook', cellsHtml(notebook.cells, { linkTo, addFigure }, intro)),
    section('Provenance', provenanceHtml(provenance)),
  ].filter(({ html }) => html !== '');
  const links = sections.map(({ id, heading }) => `<li><a href="#${id}">${heading}</a></li>`).join('');
  const body = `<header>
<p class="over">${escapeHtml(provenance.notebook)}</p>
<h1>${escapeHtml(title)}</h1>
${factsHtml(provenance)}
${provenance.error ? `<p class="alert" role="alert">${escapeHtml(provenance.error)}</p>` : ''}
</header>
<nav aria-label="Sections"><ul>${links}</ul></nav>
<main id="content">
${contract.reproduces ? `<p class="ref">Reproduces: ${escapeHtml(contract.reproduces)}</p>` : ''}
${rest ? markdownHtml(rest, { headingOffset: 1 }) : ''}
${sections.map(({ id, heading, html }) => `<section aria-labelledby="${id}"><h2 id="${id}">${heading}</h2>\n${html}</section>`).join('\n')}
</main>`;
  const footer = `vitlab ${escapeHtml(provenance.versions['vitlab'] ?? '')} · this page needs no network`;
  return renderPage({ title: `${title} · ${provenance.status}`, body, figures, footer });
}

function section(heading: string, html: string): { id: string; heading: string; html: string } {
  return { id: heading.toLowerCase(), heading, html };
}

/** The first cell, where it is text: a recipe states its contract there. */
function introOf(cells: readonly Cell[]): Cell | undefined {
  const [first] = cells;
  return first?.cell_type === 'markdown' ? first : undefined;
}

function splitTitle(source: string, fallback: string): { title: string; rest: string } {
  const heading = /^\s*#\s+(.+?)\s*#*\s*(\n|$)/.exec(source);
  if (!heading) return { title: fallback, rest: source };
  return { title: heading[1]!.replace(/[*`]/g, ''), rest: source.slice(heading[0].length) };
}

/** How a status looks: its words and its tone. */
function statusBadge({ status, exitCode }: Pick<Provenance, 'status' | 'exitCode'>): string {
  const [tone, words] =
    status === 'finished'
      ? exitCode === 3
        ? ['bad', '✗ finished, metrics out of range']
        : ['good', '✓ finished']
      : status === 'running' || status === 'interactive'
        ? ['wait', `… ${status}`]
        : ['bad', `✗ ${status}`];
  return `<span class="badge ${tone}">${words}</span>`;
}

function factsHtml(provenance: Provenance): string {
  const { engine, profile, seconds, startedAt } = provenance;
  const facts = [
    `profile ${profile}`,
    ...(seconds === null ? [] : [durationText(seconds)]),
    ...(engine ? [`${engine.name} ${engine.version} on ${engine.device}`] : []),
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC`,
  ];
  return `<p class="facts">${statusBadge(provenance)} ${facts.map((fact) => `<span>${escapeHtml(fact)}</span>`).join(' ')}</p>`;
}

function metricsHtml(metrics: Readonly<Record<string, number>>, checks: readonly Check[]): string {
  const cards = checks.map(
    ({ metric, seen, expected, passed }) => `<li class="card"><div class="name">${escapeHtml(metric)}</div>
<div class="value">${seen === undefined ? 'not recorded' : escapeHtml(formatNumber(seen))}</div>
<div class="range"><span class="badge ${passed ? 'good' : 'bad'}">${passed ? '✓ in range' : '✗ out of range'}</span>
expected ${escapeHtml(rangeText(expected))}</div></li>`,
  );
  const others = Object.entries(metrics).filter(([name]) => !checks.some(({ metric }) => metric === name));
  const table = { columns: ['metric', 'value'], rows: others };
  return [
    cards.length ? `<ul class="cards">${cards.join('\n')}</ul>` : '',
    others.length ? scrolled(tableHtml(table)) : '',
  ].join('');
}

/** What is not the same on another machine, or a second time. */
function measurementsHtml(measurements: Run['measurements']): string {
  const rows = Object.entries(measurements);
  return rows.length ? scrolled(tableHtml({ columns: ['measurement', 'value'], rows })) : '';
}

function parametersHtml({ parameters }: Provenance, notebook: Notebook): string {
  const injected = notebook.cells.find((cell) => hasTag(cell, 'injected-parameters'))?.source ?? '';
  const rows = Object.entries(parameters).map(([name, value]) => {
    const overridden = injected.split('\n').some((line) => line.startsWith(`${name} = `));
    return [name, JSON.stringify(value), overridden ? 'overridden' : 'default'];
  });
  return rows.length ? scrolled(tableHtml({ columns: ['parameter', 'value', 'origin'], rows })) : '';
}

/** Figures, tables and notes in the order in which the notebook gave them, numbered. */
function resultsHtml({ dir, records }: Run, addFigure: (figure: unknown) => number) {
  const links = new Map<string, string>();
  const counts = { figure: 0, table: 0 };
  const itemHtml = (item: Item): string => {
    if (item.kind === 'note') return markdownHtml(item.text, { headingOffset: 2 });
    const number = ++counts[item.kind];
    const id = `${item.kind}-${number}`;
    const label = `${item.kind === 'figure' ? 'Figure' : 'Table'} ${number}`;
    links.set(`${item.kind} ${item.name}`, `<a href="#${id}">${label}: ${escapeHtml(item.name)}</a>`);
    const content = readItem(dir, item);
    if ('problem' in content) return `<p class="alert" id="${id}">${label}: ${escapeHtml(content.problem)}</p>`;
    if (item.kind === 'table') {
      const table = content.json as Table;
      // Beside the table, not in it: a wide table scrolls, and its caption stays.
      return `<p class="caption" id="${id}"><b>${label}.</b> ${escapeHtml(item.caption || item.name)}</p>
${scrolled(tableHtml(table), id)}`;
    }
    const index = addFigure(content.json);
    return `<figure id="${id}">${plotSlot(index, item.alt)}
<figcaption><b>${label}.</b> ${escapeHtml(item.alt)}</figcaption></figure>`;
  };
  const html = (records?.items ?? []).map(itemHtml).join('\n');
  return { html, linkTo: (kind: 'figure' | 'table', name: string) => links.get(`${kind} ${name}`) };
}

/** The file of a figure or table; what is wrong with it where it cannot be read. */
function readItem(dir: string, { kind, name }: Kept): { json: unknown } | { problem: string } {
  const folder = kind === 'figure' ? FILES.figures : FILES.tables;
  try {
    const json = readJson(dir, folder, `${name}.json`);
    return json === undefined ? { problem: `${folder}/${name}.json is missing.` } : { json };
  } catch (error) {
    if (!(error instanceof VitlabError)) throw error;
    return { problem: error.message };
  }
}

/** `label`: the id of what names it. */
function scrolled(html: string, label?: string): string {
  return `<div class="scroll" tabindex="0"${label ? ` role="region" aria-labelledby="${label}"` : ''}>${html}</div>`;
}
