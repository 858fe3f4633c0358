// Decides what a run will be, with everything checked before anything starts.
import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { type Claim, claimRun } from './claim.js';
import { type Contract, contractOf, PROFILES, type Profile } from './contract.js';
import { stemOf } from './lab.js';
import { type Notebook, readNotebook, withoutOutputs } from './notebook.js';
import { declaredParameters, injectParameters, type Parameters, resolveParameters } from './parameters.js';
import { ROOT } from './provenance.js';
import { FILES, makeRunFolder, type Provenance, readProvenance } from './runFolder.js';

export interface RunRequest {
  readonly notebooks: readonly string[];
  readonly profile?: string;
  /** Values from --params. */
  readonly params?: Parameters;
  /** Texts of -p, by name. */
  readonly texts?: Readonly<Record<string, string>>;
  readonly out?: string;
  readonly resume?: boolean;
}

export interface Plan {
  /** The notebook's file name without ending: what the run is called. */
  readonly name: string;
  /** Path below the project's root, or absolute outside of it. */
  readonly notebookPath: string;
  /** Parameters injected, outputs removed. */
  readonly notebook: Notebook;
  readonly contract: Contract;
  readonly profile: Profile;
  readonly parameters: Parameters;
  readonly runDir: string;
  /** The run to go on with, or that is finished already. */
  readonly earlier: Provenance | undefined;
  /** Native threads that the metrics to be met were made with; undefined where none are. */
  readonly threads: number | undefined;
  /** Held until the run is over. */
  readonly claim: Claim;
}

/** What a run is to be, without its place. */
type Draft = Pick<Plan, 'name' | 'notebookPath' | 'notebook' | 'contract' | 'profile' | 'parameters'>;

/**
 * A plan for each notebook, its run folder made and claimed.
 * @throws UsageError where anything does not fit, or another process runs in a folder; then nothing stays claimed
 */
export function planRuns(request: RunRequest): readonly Plan[] {
  const { notebooks, out, resume = false } = request;
  const names = notebooks.map(stemOf);
  const twin = names.find((name, i) => names.indexOf(name) !== i);
  if (out !== undefined && twin !== undefined) {
    throw new UsageError(
      `Two notebooks are called '${twin}', so their runs cannot share --out ${out}: run them apart.`,
    );
  }
  const claims = new Map<string, Claim>();
  try {
    const placed = notebooks.map((file) => {
      const name = stemOf(file);
      const chosen = out === undefined ? undefined : path.resolve(notebooks.length > 1 ? path.join(out, name) : out);
      if (chosen && !resume) refuseRunIn(chosen);
      const dir = resume ? (chosen ?? newestUnfinished(name)) : chosen;
      if (!dir || !holdsRun(dir)) return { draft: draftOf(file, request, undefined), dir, earlier: undefined };
      claims.set(dir, claimRun(dir));
      const earlier = readProvenance(dir);
      return { draft: draftOf(file, request, earlier), dir, earlier };
    });
    return placed.map(({ draft, dir, earlier }): Plan => {
      const place = dir && claims.has(dir) ? { runDir: dir, claim: claims.get(dir)! } : placeOf(draft.name, dir);
      claims.set(place.runDir, place.claim);
      return { ...draft, ...place, earlier, threads: earlier?.threads ?? undefined };
    });
  } catch (error) {
    for (const claim of claims.values()) claim.release();
    throw error;
  }
}

/** A claimed folder for a new run: `dir`, or a new one below `runs/`. @throws UsageError where a run is in it */
export function placeOf(name: string, dir: string | undefined): Pick<Plan, 'runDir' | 'claim'> {
  if (dir) fs.mkdirSync(dir, { recursive: true });
  const runDir = dir ?? makeRunFolder(path.resolve('runs'), name);
  const claim = claimRun(runDir);
  try {
    refuseRunIn(runDir);
  } catch (error) {
    claim.release();
    throw error;
  }
  return { runDir, claim };
}

function refuseRunIn(dir: string): void {
  if (!holdsRun(dir)) return;
  throw new UsageError(`${dir} holds a run already: give another --out, or --resume to go on with that run.`);
}

function draftOf(file: string, request: RunRequest, earlier: Provenance | undefined): Draft {
  const notebook = readNotebook(file);
  const contract = contractOf(notebook, file);
  const declared = declaredParameters(notebook, file);
  const profile = profileOf(request.profile ?? earlier?.profile, contract, file);
  const parameters = earlier
    ? resumedParameters(declared, request, earlier, file)
    : resolveParameters(declared, { ...request, profile: contract.profiles[profile], file: request.params }, file);
  if (earlier && request.profile && earlier.profile !== profile) {
    throw new UsageError(`The run was started with profile ${earlier.profile}, so it cannot go on with ${profile}.`);
  }
  return {
    name: stemOf(file),
    notebookPath: relativeToRoot(file),
    notebook: injectParameters(withoutOutputs(notebook), declared, parameters),
    contract,
    profile,
    parameters,
  };
}

/** A resumed run keeps its parameters; naming them again is allowed, changing them is not. */
function resumedParameters(
  declared: ReturnType<typeof declaredParameters>,
  { params, texts }: RunRequest,
  earlier: Provenance,
  file: string,
): Parameters {
  const before = resolveParameters(declared, { file: earlier.parameters }, file);
  const now = resolveParameters(declared, { profile: before, file: params, texts }, file);
  const changed = Object.keys(now).find((name) => JSON.stringify(now[name]) !== JSON.stringify(before[name]));
  if (changed === undefined) return before;
  throw new UsageError(
    `The run was started with ${changed} = ${JSON.stringify(before[changed])}, so it cannot go on with ` +
      `${JSON.stringify(now[changed])}. Start a new run for another value.`,
  );
}

function profileOf(name: string | undefined, contract: Contract, file: string): Profile {
  if (name === undefined) return 'standard';
  const profile = PROFILES.find((candidate) => candidate === name);
  if (!profile) throw new UsageError(`There is no profile '${name}': choose one of ${PROFILES.join(', ')}.`);
  if (profile !== 'standard' && !contract.profiles[profile]) {
    const known = Object.keys(contract.profiles);
    throw new UsageError(
      `${file} has no profile '${profile}'. ${known.length ? `It has ${known.join(', ')}.` : 'It has none.'}`,
    );
  }
  return profile;
}

function newestUnfinished(name: string): string {
  const parent = path.resolve('runs');
  const candidates = fs.existsSync(parent) ? fs.readdirSync(parent) : [];
  const runs = candidates
    .filter((entry) => entry.startsWith(`${name}-`) && /^\d{8}-\d{6}(-\d+)?$/.test(entry.slice(name.length + 1)))
    .map((entry) => path.join(parent, entry))
    .filter((dir) => holdsRun(dir) && readProvenance(dir).status !== 'finished')
    .sort((a, b) => fs.statSync(a).birthtimeMs - fs.statSync(b).birthtimeMs);
  const newest = runs.at(-1);
  if (newest) return newest;
  throw new UsageError(`There is no unfinished run of '${name}' in ${parent}: name its folder with --out.`);
}

function holdsRun(dir: string): boolean {
  return fs.existsSync(path.join(dir, FILES.provenance));
}

function relativeToRoot(file: string): string {
  const relative = path.relative(ROOT, path.resolve(file));
  return relative.startsWith('..') ? path.resolve(file) : relative;
}

/** Reads --params: a JSON or YAML file with one value a parameter. @throws UsageError for anything else. */
export function readParams(file: string): Parameters {
  let content: unknown;
  try {
    content = parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`Cannot read the parameters ${file}: ${(error as Error).message}`, { cause: error });
  }
  const result = z.record(z.string(), z.json()).safeParse(content ?? {});
  if (result.success) return result.data;
  throw new UsageError(`${file} must hold one 'name: value' a parameter, but it holds something else.`);
}
