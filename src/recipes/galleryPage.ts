// A page of the gallery, and the index of its pages.
import path from 'node:path';
import { formatNumber } from '../plot/index.js';
import { plural } from '../words.js';
import { type Contract, checkMetrics, rangeText } from './contract.js';
import { folded, galleryCells, type Pictured, tableMarkdown, withoutPaths } from './galleryCells.js';
import { stemOf } from './lab.js';
import { cellText, literalText, markdownTable } from './markdownParts.js';
import type { Notebook } from './notebook.js';
import { durationText, memoryText } from './progress.js';
import { ROOT } from './provenance.js';
import type { Run } from './runFolder.js';

/** Where the project keeps its gallery. */
export const GALLERY = path.join(ROOT, 'docs', 'gallery');

/** How the pages of the gallery begin: what the index reads. */
const HEADING = /^# (.+)$/m;
const FACTS = /^> (.+)$/m;
const PICTURE = /^!\[.*\]\([^()\s]+\.png\)$/gm;

/**
 * The page of a run for the folder `outDir`; `notebook` is the executed one.
 * @throws VitlabError where a table of the run is missing
 */
export function galleryPage(run: Run, notebook: Notebook, contract: Contract, outDir: string): Pictured {
  const source = path.resolve(ROOT, run.provenance.notebook);
  const relink = (target: string) => {
    const [place, ...anchor] = target.split('#');
    return [linkFrom(outDir, path.resolve(path.dirname(source), place!)), ...anchor].join('#');
  };
  const items = run.records?.items ?? [];
  const captions = new Map(items.flatMap((item) => (item.kind === 'table' ? [[item.name, item.caption]] : [])));
  const folder = stemOf(source);
  const { markdown, pictures } = galleryCells(notebook.cells, { runDir: run.dir, folder, captions, relink });
  const [, title, rest] = /^# (.+)\n*([\s\S]*)$/.exec(markdown) ?? [undefined, folder, markdown];
  const sections = [
    `# ${title}`,
    factsMarkdown(run, contract, linkFrom(outDir, source)),
    rest!,
    section('Metrics of this run', metricsMarkdown(run, contract)),
    section('Measurements', measurementsMarkdown(run)),
    section('Where it comes from', originMarkdown(run)),
  ];
  return { markdown: `${sections.filter(Boolean).join('\n\n')}\n`, pictures };
}

/** A page of the gallery as it is in its folder. */
export interface NamedPage {
  readonly name: string;
  readonly markdown: string;
}

/** The index for the folder `outDir`, with a picture of each page: its last, since results come at the end. */
export function galleryIndex(pages: readonly NamedPage[], outDir: string): string {
  const entries = pages.map(({ name, markdown }) => {
    const title = HEADING.exec(markdown)?.[1] ?? name;
    const facts = FACTS.exec(markdown)?.[1] ?? '';
    const picture = markdown.match(PICTURE)?.at(-1) ?? '';
    return [`## [${title}](${name}.md)`, facts, picture].filter(Boolean).join('\n\n');
  });
  return `${['# Gallery', introOf(outDir), ...entries].join('\n\n')}\n`;
}

function introOf(outDir: string): string {
  return `The recipes as they ran: text, code, tables and figures, with the metrics at the end of each page. Longer code is
folded; long outputs are shortened. \`npm run notebooks:execute\` runs all recipes anew with \`--profile quick\` and renews
these pages; \`npx vitlab gallery RUNDIR…\` makes them from runs that are there
([recipes](${linkFrom(outDir, path.join(ROOT, 'docs', 'recipes.md'))})).`;
}

/** A link to a file of the project. From outside the project it is that of a page in the gallery's own place. */
function linkFrom(outDir: string, file: string): string {
  const within = !path.relative(ROOT, path.resolve(outDir)).startsWith('..');
  return path
    .relative(within ? path.resolve(outDir) : GALLERY, file)
    .split(path.sep)
    .join('/');
}

function section(heading: string, markdown: string): string {
  return markdown && `## ${heading}\n\n${markdown}`;
}

function factsMarkdown({ provenance, metrics }: Run, contract: Contract, notebook: string): string {
  const { engine, machine, git, profile, seconds, startedAt } = provenance;
  const checks = checkMetrics(contract, profile, metrics);
  const passed = checks.filter((check) => check.passed).length;
  const facts = [
    `[Notebook](${notebook}) as it ran`,
    `profile \`${profile}\``,
    ...(engine ? [`${engine.name} ${engine.version} on ${engine.device}`] : []),
    `${plural(machine.cores, 'core')} of ${cellText(machine.cpu)}`,
    ...machine.gpus.map(cellText),
    ...(seconds === null ? [] : [durationText(seconds)]),
    startedAt.slice(0, 10),
    ...(git ? [`commit ${git.commit.slice(0, 10)}${git.dirty ? ' with uncommitted changes' : ''}`] : []),
    ...(checks.length
      ? [`${passed === checks.length ? '✅' : '❌'} ${passed} of ${plural(checks.length, 'metric')} in range`]
      : []),
  ];
  return `> ${facts.join(' · ')}`;
}

function metricsMarkdown({ provenance, metrics }: Run, contract: Contract): string {
  const checks = checkMetrics(contract, provenance.profile, metrics);
  const checked = new Set(checks.map(({ metric }) => metric));
  const rows = checks.map(({ metric, seen, expected, passed }) => [
    passed ? '✅' : '❌',
    literalText(metric),
    seen === undefined ? 'not recorded' : formatNumber(seen),
    rangeText(expected),
  ]);
  const others = Object.entries(metrics).filter(([metric]) => !checked.has(metric));
  return [
    rows.length ? markdownTable(['', 'metric', 'value', 'expected'], rows, [false, false, true]) : '',
    others.length ? folded('Other metrics', tableMarkdown({ columns: ['metric', 'value'], rows: others })) : '',
  ]
    .filter(Boolean)
    .join('\n\n');
}

function measurementsMarkdown({ measurements }: Run): string {
  const rows = Object.entries(measurements);
  if (rows.length === 0) return '';
  return `They depend on the machine and its load.\n\n${tableMarkdown({ columns: ['measurement', 'value'], rows })}`;
}

function originMarkdown({ provenance }: Run): string {
  const { parameters, threads, peakMemoryBytes, data, weights, versions, machine } = provenance;
  const text = (value: string) => literalText(withoutPaths(value));
  const sources = (list: typeof data) => list.map(({ name, checksum }) => text(`${name} (${checksum.slice(0, 19)}…)`));
  const rows: [string, string[]][] = [
    ['Parameters', Object.entries(parameters).map(([name, value]) => text(`${name} = ${JSON.stringify(value)}`))],
    ['Data', sources(data)],
    ['Weights', sources(weights)],
    ['Machine', [text(`${machine.platform.split(' ').slice(0, 2).join(' ')}, ${memoryText(machine.memoryBytes)}`)]],
    ['Threads', threads === null ? [] : [`${threads} of TensorFlow`]],
    ['Peak memory', peakMemoryBytes === null ? [] : [memoryText(peakMemoryBytes)]],
    ['Versions', Object.entries(versions).map((entry) => text(entry.join(' ')))],
  ];
  const known = rows.filter(([, values]) => values.length > 0);
  return markdownTable(
    ['', ''],
    known.map(([name, values]) => [name, values.join('<br>')]),
  );
}
