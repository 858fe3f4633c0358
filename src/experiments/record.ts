// The record of a transfer: what came out, and what decided it, as a JSON file that a comparison reads back.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { CheckpointError, UsageError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { epochSchema } from '../train/index.js';
import { type TuningName, tuningMethods } from '../tuning/index.js';

/** The name of the file in a transfer's folder. */
export const RECORD_FILE = 'transfer.json';

const recordSchema = z.object({
  name: z.string(),
  method: z.enum(Object.keys(tuningMethods) as [TuningName, ...TuningName[]]),
  /** Of the method, defaults included. */
  options: z.record(z.string(), z.json()),
  seed: z.number(),
  /** Accuracies on the test images after the last epoch, shares of 1. */
  top1: z.number(),
  top5: z.number(),
  history: z.array(epochSchema),
  /** Parameters that were trained, and all of the model. */
  trainable: z.number(),
  total: z.number(),
  /** Median milliseconds of an update, without waiting for data. */
  stepMs: z.number(),
  /** Size of the file of what was trained: what has to be stored for the task. */
  checkpointBytes: z.number(),
  /** Largest resident memory of the process that trained it, Node and engine included, where that did nothing else. */
  peakMemoryBytes: z.number().optional(),
  /** Processor and number of cores: what times and memory belong to. */
  machine: z.string(),
  /** SHA-256 of `decidedBy`: equal keys mean equal results. */
  key: z.string(),
  /** Everything that decides the result, but for the code and the processor. */
  decidedBy: z.record(z.string(), z.json()),
});

/**
 * What came of one tuning method on one task.
 * @interface
 */
export type TransferRecord = z.infer<typeof recordSchema>;

/** The key of what decides a result: it does not depend on the order of properties. */
export function keyOf(decidedBy: TransferRecord['decidedBy']): string {
  const sorted = (_name: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return createHash('sha256').update(JSON.stringify(decidedBy, sorted)).digest('hex');
}

/** Writes the record into a transfer's folder, whole or not at all. */
export function writeRecord(dir: string, record: TransferRecord): void {
  writeFileAtomic(path.join(dir, RECORD_FILE), [Buffer.from(`${JSON.stringify(record, null, 2)}\n`)]);
}

/** The record in a transfer's folder; undefined where there is none. @throws CheckpointError for a file that is none */
export function readRecord(dir: string): TransferRecord | undefined {
  const file = path.join(dir, RECORD_FILE);
  if (!fs.existsSync(file)) return undefined;
  try {
    return recordSchema.parse(JSON.parse(fs.readFileSync(file, 'utf8')));
  } catch (error) {
    throw new CheckpointError(`${file} is no record of a transfer: ${(error as Error).message}. Remove it.`, {
      cause: error,
    });
  }
}

/** A record and the folder that it is in. */
export interface FoundRecord {
  record: TransferRecord;
  dir: string;
}

/**
 * All records in or below some folders, such as run folders or `runs/` itself, by key; of equal keys the first one found.
 * @throws UsageError for a folder that is not there; CheckpointError for a damaged record
 */
export function findRecords(folders: readonly string[]): Map<string, FoundRecord> {
  const found = new Map<string, FoundRecord>();
  for (const folder of folders) {
    if (!fs.existsSync(folder)) throw new UsageError(`There is no folder ${folder} to look for records in.`);
    const entries = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' });
    for (const entry of entries.filter((name) => path.basename(name) === RECORD_FILE).sort()) {
      const dir = path.join(folder, path.dirname(entry));
      const record = readRecord(dir)!;
      if (!found.has(record.key)) found.set(record.key, { record, dir });
    }
  }
  return found;
}
