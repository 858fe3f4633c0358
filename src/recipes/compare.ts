// Runs side by side: which parameters set them apart, what they measured, and figures of both.
import path from 'node:path';
import {
  barsFigure,
  type CellValue,
  type Curve,
  curvesFigure,
  type Figure,
  formatNumber,
  type Point,
  scatterFigure,
  type Table,
} from '../plot/index.js';
import { isClaimed } from './claim.js';
import { durationText, memoryText } from './progress.js';
import type { Metrics, Run, Series } from './runFolder.js';

/** Runs that differ in nothing but their seed. */
export interface RunGroup {
  readonly label: string;
  readonly runs: readonly Run[];
}

/** A figure, and in words what it shows. */
export interface NamedFigure {
  readonly alt: string;
  readonly figure: Figure;
}

export interface Comparison {
  readonly groups: readonly RunGroup[];
  /** A row a run, numbers in full. */
  readonly table: Table;
  readonly figures: readonly NamedFigure[];
}

/** Compares runs in the order given. */
export function compareRuns(runs: readonly Run[]): Comparison {
  const differing = differingParameters(runs);
  const groups = groupRuns(runs, differing);
  const [only, ...others] = groups;
  const drawn = only && others.length === 0 ? partsOf(only) : groups;
  const metrics = metricNames(drawn.flatMap((group) => group.runs));
  return {
    groups,
    table: tableOf(runs, differing, metricNames(runs)),
    figures: [
      ...frontFigure(drawn, metrics),
      ...seriesFigures(drawn),
      ...metrics.flatMap((metric) => metricFigure(drawn, metric)),
    ],
  };
}

function metricNames(runs: readonly Run[]): readonly string[] {
  return [...new Set(runs.flatMap((run) => Object.keys(valuesIn(run))))];
}

/** A recipe may compare methods itself and record `lora.top1`, `full.top1`, …: these parts are compared in its place. */
function partsOf(group: RunGroup): readonly RunGroup[] {
  const prefixes = [...new Set(metricNames(group.runs).flatMap((name) => /^(.+)\./.exec(name)?.[1] ?? []))];
  if (prefixes.length < 2) return [group];
  const part = <T>(values: Readonly<Record<string, T>>, prefix: string): Record<string, T> =>
    Object.fromEntries(
      Object.entries(values).flatMap(([name, value]) =>
        name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), value]] : [],
      ),
    );
  return prefixes.map((prefix) => ({
    label: prefix,
    runs: group.runs.map(({ metrics, measurements, records, ...run }) => ({
      ...run,
      metrics: part(metrics, prefix),
      measurements: part(measurements, prefix),
      records: records && { ...records, series: part(records.series, prefix) },
    })),
  }));
}

/** Names of the parameters that are not the same in all runs that have them, the seed last. */
function differingParameters(runs: readonly Run[]): readonly string[] {
  const names = new Set(runs.flatMap(({ provenance }) => Object.keys(provenance.parameters)));
  const differing = [...names].filter((name) => {
    const values = runs.flatMap(({ provenance }) => JSON.stringify(provenance.parameters[name]) ?? []);
    return new Set(values).size > 1;
  });
  return [...differing.filter((name) => name !== 'seed'), ...differing.filter((name) => name === 'seed')];
}

function parameterText({ provenance: { parameters } }: Run, name: string): string {
  const value = parameters[name];
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function groupRuns(runs: readonly Run[], differing: readonly string[]): readonly RunGroup[] {
  const names = differing.filter((name) => name !== 'seed');
  const manyNotebooks = new Set(runs.map(({ provenance }) => provenance.notebook)).size > 1;
  const manyProfiles = new Set(runs.map(({ provenance }) => provenance.profile)).size > 1;
  const byKey = new Map<string, { label: string; runs: Run[] }>();
  for (const run of runs) {
    const { notebook, profile } = run.provenance;
    const parts = [
      ...(manyNotebooks ? [path.basename(notebook, '.ipynb')] : []),
      ...(manyProfiles ? [profile] : []),
      ...names.filter((name) => parameterText(run, name) !== '').map((name) => `${name} ${parameterText(run, name)}`),
    ];
    // Where nothing tells runs apart but their folders, those do, unless they are repetitions with other seeds.
    const label = parts.join(', ') || (differing.length > 0 ? 'all seeds' : path.basename(run.dir));
    const known = byKey.get(label);
    if (known) known.runs.push(run);
    else byKey.set(label, { label, runs: [run] });
  }
  return [...byKey.values()];
}

function tableOf(runs: readonly Run[], differing: readonly string[], metrics: readonly string[]): Table {
  const columns = [
    'run',
    'notebook',
    'profile',
    'status',
    ...differing,
    ...metrics,
    'seconds',
    'peak memory (bytes)',
    'commit',
  ];
  const rows = runs.map((run): CellValue[] => {
    const { notebook, profile, seconds, peakMemoryBytes, git, parameters } = run.provenance;
    return [
      run.dir,
      notebook,
      profile,
      statusWords(run),
      ...differing.map((name) => {
        const value = parameters[name];
        return typeof value === 'number' || typeof value === 'boolean' ? value : parameterText(run, name) || null;
      }),
      ...metrics.map((metric) => valuesIn(run)[metric] ?? null),
      seconds,
      peakMemoryBytes,
      git && `${git.commit.slice(0, 10)}${git.dirty ? '+' : ''}`,
    ];
  });
  return { columns, rows };
}

/** The table with durations and sizes in words; columns that are the same everywhere left out; few runs as columns. */
export function readableTable({ columns, rows }: Table): Table {
  const words: Record<string, (value: CellValue) => CellValue> = {
    run: (value) => path.basename(String(value)),
    notebook: (value) => path.basename(String(value), '.ipynb'),
    seconds: (value) => (typeof value === 'number' ? durationText(value) : value),
    'peak memory (bytes)': (value) => (typeof value === 'number' ? memoryText(value) : value),
  };
  const always = new Set(['run', 'status']);
  const optional = new Set(['notebook', 'profile', 'commit']);
  const kept = columns.filter((name, i) => {
    const same = new Set(rows.map((row) => row[i])).size <= 1;
    return always.has(name) || !(optional.has(name) && same);
  });
  const indices = kept.map((name) => columns.indexOf(name));
  const readable = {
    columns: kept.map((name) => ({ seconds: 'duration', 'peak memory (bytes)': 'peak memory' })[name] ?? name),
    rows: rows.map((row) => indices.map((i) => (words[columns[i]!] ?? ((value) => value))(row[i]!))),
  };
  return rows.length <= MAX_SIDE_BY_SIDE && kept.length > MAX_COLUMNS ? transposed(readable) : readable;
}

const MAX_SIDE_BY_SIDE = 4;
const MAX_COLUMNS = 9;

function transposed({ columns, rows }: Table): Table {
  const [corner = '', ...names] = columns;
  return {
    columns: [corner, ...rows.map((row) => String(row[0]))],
    rows: names.map((name, i) => [name, ...rows.map((row) => row[i + 1]!)]),
  };
}

function statusWords({ dir, provenance }: Run): string {
  if (provenance.status === 'running' && !isClaimed(dir)) return 'stopped without an end';
  return provenance.status === 'finished' && provenance.exitCode === 3 ? 'finished, out of range' : provenance.status;
}

function metricFigure(groups: readonly RunGroup[], metric: string): readonly NamedFigure[] {
  const known = groups
    .map(({ label, runs }) => ({ label, values: valuesOf(runs, metric) }))
    .filter(({ values }) => values.length);
  if (known.length < 2) return [];
  const repeated = known.some(({ values }) => values.length > 1);
  const figure = barsFigure(
    known.map(({ label }) => label),
    [
      {
        name: metric,
        values: known.map(({ values }) => mean(values)),
        ...(repeated && { errors: known.map(({ values }) => deviation(values)) }),
      },
    ],
    { title: metric, horizontal: true },
  );
  const spread = repeated ? ', mean and standard deviation over seeds' : '';
  const words = known.map(({ label, values }) => `${label}: ${formatNumber(mean(values))}`).join('; ');
  return [{ alt: `${metric}${spread}. ${words}.`, figure }];
}

/** Accuracy over trained parameters, where runs recorded both. */
function frontFigure(groups: readonly RunGroup[], metrics: readonly string[]): readonly NamedFigure[] {
  const cost = metrics.find((name) => /train(ed|able)/i.test(name)) ?? metrics.find((name) => /param/i.test(name));
  const quality = metrics.find((name) => /acc|top.?1/i.test(name));
  if (cost === undefined || quality === undefined) return [];
  const points = groups.flatMap(({ label, runs }): Point[] => {
    const [xs, ys] = [valuesOf(runs, cost), valuesOf(runs, quality)];
    return xs.length && ys.length ? [{ name: label, x: mean(xs), y: mean(ys) }] : [];
  });
  if (points.length < 2) return [];
  const log = points.every(({ x }) => x > 0);
  const figure = scatterFigure(points, {
    title: `${quality} over ${cost}`,
    x: { label: cost, log },
    y: { label: quality },
  });
  return [{ alt: `${quality} over ${cost}, with the runs that no other run beats on both.`, figure }];
}

function seriesFigures(groups: readonly RunGroup[]): readonly NamedFigure[] {
  const all = groups.flatMap(({ runs }) => runs);
  const names = [...new Set(all.flatMap(({ records }) => Object.keys(records?.series ?? {})))];
  return names.map((name) => {
    const curves = groups.flatMap((group) => curvesOf(group, name));
    const { xLabel = '', yLabel = '' } = all.find(({ records }) => records?.series[name])!.records!.series[name]!;
    const figure = curvesFigure(curves, { title: name, x: { label: xLabel }, y: { label: yLabel } });
    return { alt: `${name} of ${curves.map((curve) => curve.name).join(', ')}.`, figure };
  });
}

/** One curve with its spread where all runs of a group share their x values; a curve a run otherwise. */
function curvesOf({ label, runs }: RunGroup, name: string): readonly Curve[] {
  const known = runs.flatMap(({ records }) => records?.series[name] ?? []);
  const [first] = known;
  if (!first) return [];
  const shared = known.every(({ x }) => JSON.stringify(x) === JSON.stringify(first.x));
  if (!shared || known.length === 1) {
    return known.map((series, i) => ({
      name: known.length > 1 ? `${label} (${i + 1})` : label,
      x: numbers(series.x),
      y: numbers(series.y),
    }));
  }
  const at = (i: number) => known.map((series: Series) => series.y[i] ?? Number.NaN);
  const y = first.x.map((_, i) => mean(at(i)));
  return [{ name: label, x: numbers(first.x), y, spread: first.x.map((_, i) => deviation(at(i))) }];
}

function numbers(values: readonly (number | null)[]): number[] {
  return values.map((value) => value ?? Number.NaN);
}

function valuesOf(runs: readonly Run[], metric: string): number[] {
  return runs.flatMap((run) => valuesIn(run)[metric] ?? []);
}

/** Metrics, and what was measured beside them. */
function valuesIn({ metrics, measurements }: Run): Metrics {
  return { ...metrics, ...measurements };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The sample standard deviation; 0 for one value. */
function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}
