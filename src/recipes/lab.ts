// What a notebook reports with: metrics, curves, figures, tables and notes. Each call leaves valid files in the run
// folder, so that whatever stops the notebook, what it had found is there.
import fs from 'node:fs';
import path from 'node:path';
import { UsageError, VitlabError } from '../errors.js';
import { kernelDisplay } from '../kernel/index.js';
import { type Figure, type TableSource, tableHtml, tableText, toTable } from '../plot/index.js';
import { PROFILES, type Profile } from './contract.js';
import { writeJson } from './notebook.js';
import type { Json } from './parameters.js';
import { newProvenance, ROOT } from './provenance.js';
import {
  EMPTY_RECORDS,
  type EngineInfo,
  FILES,
  type Item,
  type Metrics,
  makeRunFolder,
  type Records,
  readRecorded,
  type Source,
} from './runFolder.js';

/** How the runner tells a notebook where and how it runs. */
export const ENV = {
  runDir: 'VITLAB_RUN_DIR',
  profile: 'VITLAB_PROFILE',
  parameters: 'VITLAB_PARAMETERS',
  resume: 'VITLAB_RESUME',
} as const;

export const PLOTLY_MIME = 'application/vnd.plotly.v1+json';

export interface LabOptions {
  /** What computes, for provenance: what `startEngine()` gives. */
  readonly engine?: EngineInfo;
  /** Values that the notebook runs with, for provenance, where no runner knows them. */
  readonly parameters?: Readonly<Record<string, Json>>;
  /** Names the run folder where no runner does. */
  readonly name?: string;
}

export interface SeriesOptions {
  readonly xLabel?: string;
  readonly yLabel?: string;
}

/** The results of one run of a notebook. Made by `openLab`. */
export class Lab {
  /** Absolute path of the run folder. */
  readonly runDir: string;
  readonly profile: Profile;
  /** The effective parameters as the runner, or the options, give them. */
  readonly parameters: Readonly<Record<string, Json>>;
  /** True where `vitlab run --resume` goes on with an earlier run: checkpoints of it may exist. */
  readonly resuming: boolean;
  readonly #metrics: Metrics;
  readonly #measurements: Metrics;
  readonly #records: Records;

  constructor(runDir: string, profile: Profile, parameters: Lab['parameters'], resuming: boolean, engine?: EngineInfo) {
    this.runDir = runDir;
    this.profile = profile;
    this.parameters = parameters;
    this.resuming = resuming;
    // A second lab of the same run goes on where the first stands.
    const earlier = readRecorded(runDir);
    this.#metrics = earlier.metrics;
    this.#measurements = earlier.measurements;
    this.#records = earlier.records ?? { ...structuredClone(EMPTY_RECORDS), profile };
    if (engine) this.#records.engine = engineInfo(engine);
    this.#save();
    writeJson(path.join(runDir, FILES.metrics), this.#metrics);
  }

  /**
   * Records a metric: what the same parameters give again bit for bit. The last value counts.
   * @throws VitlabError for NaN and infinities
   */
  record(name: string, value: number): void {
    this.#put(FILES.metrics, this.#metrics, name, value);
  }

  /**
   * Records a measurement: what also depends on the machine and its load, such as speed and memory. The last value
   * counts; no range is expected of it, and `--check` passes it over.
   * @throws VitlabError for NaN and infinities
   */
  measure(name: string, value: number): void {
    this.#put(FILES.measurements, this.#measurements, name, value);
  }

  /** Records a curve, such as accuracy over epochs; the last one of a name counts. Values that are not finite are gaps. */
  series(name: string, x: ArrayLike<number>, y: ArrayLike<number>, options: SeriesOptions = {}): void {
    if (x.length !== y.length) {
      throw new UsageError(`The series '${name}' has ${x.length} x values and ${y.length} y values: expected as many.`);
    }
    this.#records.series[name] = { x: finite(x), y: finite(y), ...options };
    this.#save();
  }

  /** Shows a figure, and keeps it for the report under `name`. `alt` says in words what it shows. */
  plot(figure: Figure, { name, alt }: { readonly name: string; readonly alt: string }): void {
    writeJson(path.join(this.runDir, FILES.figures, `${fileName(name)}.json`), figure);
    this.#keep({ kind: 'figure', name, alt });
    show({ [PLOTLY_MIME]: figure, 'text/plain': alt }, { vitlab: { figure: name } });
  }

  /** Shows a table of a danfo data frame or of records, and keeps it for the report under `name`. */
  table(source: TableSource, { name, caption = '' }: { readonly name: string; readonly caption?: string }): void {
    const table = toTable(source);
    writeJson(path.join(this.runDir, FILES.tables, `${fileName(name)}.json`), table);
    this.#keep({ kind: 'table', name, caption });
    show({ 'text/html': tableHtml(table, caption), 'text/plain': tableText(table) }, { vitlab: { table: name } });
  }

  /** Shows a remark (Markdown), and keeps it for the report. */
  note(text: string): void {
    if (!this.#records.items.some((item) => item.kind === 'note' && item.text === text)) {
      this.#records.items.push({ kind: 'note', text });
      this.#save();
    }
    show({ 'text/markdown': text, 'text/plain': text }, { vitlab: { note: true } });
  }

  /** Records which data the run saw: the name of the data set and a checksum of what was read. */
  data(name: string, checksum: string): void {
    this.#source(this.#records.data, name, checksum);
  }

  /**
   * Records which weights the run began with: a name and a checksum, such as the reports of `fromPretrained` and
   * `loadWeights` give.
   */
  weights(name: string, checksum: string): void {
    this.#source(this.#records.weights, name, checksum);
  }

  /** Where a checkpoint of this run belongs; the same path again when the run is resumed. */
  checkpointPath(name: string): string {
    const folder = path.join(this.runDir, FILES.checkpoints);
    fs.mkdirSync(folder, { recursive: true });
    return path.join(folder, fileName(name));
  }

  #put(file: string, values: Metrics, name: string, value: number): void {
    if (!Number.isFinite(value)) {
      throw new VitlabError(`'${name}' is ${value}, but only finite numbers can be recorded.`);
    }
    values[name] = value;
    writeJson(path.join(this.runDir, file), values);
    this.#save();
  }

  #source(known: Source[], name: string, checksum: string): void {
    const same = known.find((entry) => entry.name === name);
    if (same) same.checksum = checksum;
    else known.push({ name, checksum });
    this.#save();
  }

  #keep(item: Item & { name: string }): void {
    const { items } = this.#records;
    const at = items.findIndex((other) => other.kind === item.kind && 'name' in other && other.name === item.name);
    if (at < 0) items.push(item);
    else items[at] = item;
    this.#save();
  }

  #save(): void {
    this.#records.peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
    writeJson(path.join(this.runDir, FILES.records), this.#records);
  }
}

/**
 * Opens the results of this run. Under `vitlab run` they go into its run folder; elsewhere, such as in JupyterLab, into a
 * new folder below `runs/`.
 */
export function openLab(options: LabOptions = {}): Lab {
  const profile = profileOf(process.env[ENV.profile]);
  const given = process.env[ENV.runDir];
  if (given) {
    const parameters = JSON.parse(process.env[ENV.parameters] ?? '{}') as Lab['parameters'];
    return new Lab(given, profile, parameters, process.env[ENV.resume] === '1', options.engine);
  }
  const parameters = options.parameters ?? {};
  const notebook = process.env['JPY_SESSION_NAME'];
  const runDir = makeRunFolder(path.join(ROOT, 'runs'), options.name ?? stemOf(notebook ?? 'lab'));
  const provenance = newProvenance({
    status: 'interactive',
    notebook: notebook ? path.relative(ROOT, notebook) : '',
    profile,
    parameters: { ...parameters },
    engine: engineInfo(options.engine),
    kernelPid: process.pid,
  });
  writeJson(path.join(runDir, FILES.provenance), provenance);
  return new Lab(runDir, profile, parameters, false, options.engine);
}

/** `notebooks/04-adaptformer.ipynb` → `04-adaptformer`. */
export function stemOf(notebook: string): string {
  return path.basename(notebook, '.ipynb');
}

/** The data of an engine, without its functions. */
function engineInfo(engine: EngineInfo | undefined): EngineInfo | null {
  return engine ? { name: engine.name, device: engine.device, version: engine.version } : null;
}

function profileOf(name: string | undefined): Profile {
  return PROFILES.find((profile) => profile === name) ?? 'standard';
}

function show(bundle: Record<string, unknown>, metadata: Record<string, unknown>): void {
  kernelDisplay()?.display(bundle, metadata);
}

function finite(values: ArrayLike<number>): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? value : null));
}

function fileName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return name;
  throw new UsageError(
    `'${name}' cannot name a file: use letters, digits, '-', '_' and '.', such as 'training-curves'.`,
  );
}
