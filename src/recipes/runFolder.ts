// What a run folder holds, and how it is read back. Every file in it is valid at every moment.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { VitlabError } from '../errors.js';
import { PROFILES } from './contract.js';

export const FILES = {
  notebook: 'notebook.ipynb',
  metrics: 'metrics.json',
  measurements: 'measurements.json',
  provenance: 'provenance.json',
  report: 'report.html',
  records: 'records.json',
  figures: 'figures',
  tables: 'tables',
  checkpoints: 'checkpoints',
} as const;

const STATUSES = [
  'running',
  'finished',
  'failed',
  'interrupted',
  'timeout',
  'hung',
  'died',
  'out-of-memory',
  'interactive',
] as const;
/**
 * How a run ended or that it goes on. `interactive`: recorded from a notebook that a person runs, so that nobody knows
 * whether it is done.
 * @useDeclaredType
 */
export type Status = (typeof STATUSES)[number];

const engineSchema = z.object({ name: z.string(), device: z.string(), version: z.string() });
export type EngineInfo = z.infer<typeof engineSchema>;

/** Something that a run read, and what tells it from another of the same name. */
const sourceSchema = z.object({ name: z.string(), checksum: z.string() });
export type Source = z.infer<typeof sourceSchema>;

const metricsSchema = z.record(z.string(), z.number());
/**
 * Numbers by name.
 * @useDeclaredType
 */
export type Metrics = z.infer<typeof metricsSchema>;

const seriesSchema = z.object({
  x: z.array(z.number().nullable()),
  y: z.array(z.number().nullable()),
  xLabel: z.string().optional(),
  yLabel: z.string().optional(),
});
export type Series = z.infer<typeof seriesSchema>;

const itemSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('figure'), name: z.string(), alt: z.string() }),
  z.object({ kind: z.literal('table'), name: z.string(), caption: z.string() }),
  z.object({ kind: z.literal('note'), text: z.string() }),
]);
export type Item = z.infer<typeof itemSchema>;

const recordsSchema = z.object({
  profile: z.enum(PROFILES),
  engine: engineSchema.nullable(),
  series: z.record(z.string(), seriesSchema),
  /** Figures, tables and notes in the order in which they first came. */
  items: z.array(itemSchema),
  data: z.array(sourceSchema),
  weights: z.array(sourceSchema).default([]),
  peakMemoryBytes: z.number(),
});
export type Records = z.infer<typeof recordsSchema>;

const attemptSchema = z.object({ status: z.enum(STATUSES), startedAt: z.string(), seconds: z.number() });

const provenanceSchema = z.object({
  status: z.enum(STATUSES),
  exitCode: z.number().nullable(),
  /** What stopped it, in one line. */
  error: z.string().nullable(),
  notebook: z.string(),
  profile: z.enum(PROFILES),
  parameters: z.record(z.string(), z.json()),
  seed: z.number().nullable(),
  git: z.object({ commit: z.string(), dirty: z.boolean() }).nullable(),
  versions: z.record(z.string(), z.string()),
  engine: engineSchema.nullable(),
  /** Native threads of TensorFlow in the kernel: their number decides the last bits of sums. */
  threads: z.number().nullable().default(null),
  machine: z.object({
    cpu: z.string(),
    /** Model and driver of each NVIDIA GPU that is there; the engine's device says whether one was used. */
    gpus: z.array(z.string()).default([]),
    cores: z.number(),
    memoryBytes: z.number(),
    platform: z.string(),
  }),
  data: z.array(sourceSchema),
  weights: z.array(sourceSchema).default([]),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  seconds: z.number().nullable(),
  peakMemoryBytes: z.number().nullable(),
  kernelPid: z.number().nullable(),
  earlierAttempts: z.array(attemptSchema),
});
/**
 * Where a run's results come from.
 * @interface
 */
export type Provenance = z.infer<typeof provenanceSchema>;

export const EMPTY_RECORDS: Omit<Records, 'profile'> = {
  engine: null,
  series: {},
  items: [],
  data: [],
  weights: [],
  peakMemoryBytes: 0,
};

/** A run as its folder tells it. */
export interface Run {
  readonly dir: string;
  readonly provenance: Provenance;
  readonly metrics: Metrics;
  /** What depends on the machine and its load: speed, memory. */
  readonly measurements: Metrics;
  /** Undefined where the notebook opened no lab. */
  readonly records: Records | undefined;
}

/** @throws VitlabError where `dir` holds no run or a damaged one. */
export function readRun(dir: string): Run {
  return { dir, provenance: readProvenance(dir), ...readRecorded(dir) };
}

/** @throws VitlabError where `dir` holds no run, or its provenance is damaged. */
export function readProvenance(dir: string): Provenance {
  const provenance = readChecked(dir, FILES.provenance, provenanceSchema);
  if (provenance) return provenance;
  throw new VitlabError(
    `${dir} holds no run: there is no ${FILES.provenance}. Give a folder that 'vitlab run' has written.`,
  );
}

/** What a notebook has recorded in the folder so far. */
export function readRecorded(dir: string): Pick<Run, 'metrics' | 'measurements' | 'records'> {
  return {
    metrics: readChecked(dir, FILES.metrics, metricsSchema) ?? {},
    measurements: readChecked(dir, FILES.measurements, metricsSchema) ?? {},
    records: readChecked(dir, FILES.records, recordsSchema),
  };
}

/** Removes what a notebook has recorded, and what a killed process left half written; checkpoints stay. */
export function clearRecorded(dir: string): void {
  for (const name of ['metrics', 'measurements', 'records', 'figures', 'tables', 'report'] as const) {
    fs.rmSync(path.join(dir, FILES[name]), { recursive: true, force: true });
  }
  for (const folder of [dir, path.join(dir, FILES.checkpoints)]) {
    for (const entry of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
      if (/^\..*\.tmp$/.test(entry)) fs.rmSync(path.join(folder, entry));
    }
  }
}

/** The parsed JSON file in a run folder, or undefined where there is none. */
export function readJson(dir: string, ...names: readonly string[]): unknown {
  const file = path.join(dir, ...names);
  if (!fs.existsSync(file)) return undefined;
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new VitlabError(`Cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function readChecked<T>(dir: string, name: string, schema: z.ZodType<T>): T | undefined {
  const json = readJson(dir, name);
  if (json === undefined) return undefined;
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new VitlabError(
    `${path.join(dir, name)} is not what vitlab writes: ${z.prettifyError(result.error).replace(/\s+/g, ' ')}`,
  );
}

/** `name-YYYYMMDD-HHMMSS` below `parent` (local time), with a number where that is taken; the folder is made. */
export function makeRunFolder(parent: string, name: string, now: Date = new Date()): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const stem = `${name}-${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  fs.mkdirSync(parent, { recursive: true });
  for (let count = 1; ; count++) {
    const dir = path.join(parent, count === 1 ? stem : `${stem}-${count}`);
    try {
      fs.mkdirSync(dir);
      return dir;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
