// The end of a run: what its notebook recorded is read back and checked, the report is written, and only then the final
// provenance, so that whoever reads `finished` finds all files.
import path from 'node:path';
import { VitlabError } from '../errors.js';
import { type Contract, checkMetrics } from './contract.js';
import { type Notebook, writeJson, writeText } from './notebook.js';
import { type CellOutcome, checkText, type Ending, EXIT, METRIC_EXIT, type Outcome } from './outcome.js';
import type { Plan } from './plan.js';
import { renderReport } from './report.js';
import { FILES, type Provenance, type Run, readRecorded } from './runFolder.js';

/** `provenance` is all that the runner knows; `notebook` the executed one. */
export function conclude(
  { runDir, contract, profile, name }: Plan,
  notebook: Notebook,
  provenance: Provenance,
  before: Ending,
  cells: readonly CellOutcome[],
): Outcome {
  const { recorded, ending } = readBack(runDir, before);
  const { metrics, records } = recorded;
  const checks = ending.status === 'finished' ? checkMetrics(contract, profile, metrics) : [];
  const failed = checks.filter(({ passed }) => !passed);
  const final: Provenance = {
    ...provenance,
    status: ending.status,
    exitCode: failed.length ? METRIC_EXIT : EXIT[ending.status],
    error: failed.length ? failed.map(checkText).join(' ') : ending.error,
    engine: records?.engine ?? null,
    data: records?.data ?? [],
    weights: records?.weights ?? [],
    peakMemoryBytes: Math.max(provenance.peakMemoryBytes ?? 0, records?.peakMemoryBytes ?? 0) || null,
  };
  const reported = writeReport({ dir: runDir, provenance: final, ...recorded }, notebook, contract);
  writeJson(path.join(runDir, FILES.provenance), reported);
  const { status, error, seconds } = reported;
  const exitCode = reported.exitCode ?? EXIT[status];
  return { name, runDir, status, exitCode, error, cells, checks, metrics, seconds: seconds ?? 0 };
}

/** What the notebook recorded; where that is damaged, the run has failed. */
function readBack(runDir: string, ending: Ending): { recorded: Omit<Run, 'dir' | 'provenance'>; ending: Ending } {
  try {
    return { recorded: readRecorded(runDir), ending };
  } catch (error) {
    if (!(error instanceof VitlabError)) throw error;
    const recorded = { metrics: {}, measurements: {}, records: undefined };
    return { recorded, ending: { status: 'failed', error: [ending.error, error.message].filter(Boolean).join(' ') } };
  }
}

/** The run's provenance; where its report cannot be written, the run has failed. */
function writeReport(run: Run, notebook: Notebook, contract: Contract): Provenance {
  const { dir, provenance } = run;
  try {
    writeText(path.join(dir, FILES.report), renderReport(run, notebook, contract));
    return provenance;
  } catch (error) {
    const what = [provenance.error, `The report could not be written: ${messageOf(error)}`].filter(Boolean);
    return { ...provenance, status: 'failed', exitCode: EXIT.failed, error: what.join(' ') };
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
