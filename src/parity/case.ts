// A fixture case: one folder with case.json, tensors in safetensors files and whatever else it names.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { readSafetensors, type TensorRecord, tensorRecord } from '../checkpoint/index.js';
import { DataError } from '../errors.js';
import type { Checker } from './check.js';

const caseSchema = z.looseObject({
  name: z.string(),
  group: z.string(),
  kind: z.string(),
  config: z.record(z.string(), z.unknown()),
  tensors: z.record(z.string(), z.unknown()).default({}),
  tolerances: z.record(z.string(), z.unknown()).default({}),
  mode: z.enum(['eval', 'train']).default('eval'),
  trainable: z.array(z.string()).default([]),
  frozen: z.array(z.string()).default([]),
  notes: z.array(z.string()).default([]),
  files: z.array(z.string()).default([]),
});

/** case.json as read: the common fields checked, fields of single kinds passed through as `unknown`. */
export type CaseSpec = z.infer<typeof caseSchema>;

/** Computes what a case asks for and hands every result to `check`. */
export type CaseRunner = (parityCase: ParityCase, check: Checker) => Promise<void> | void;

/** One fixture case on disk. */
export class ParityCase {
  private readonly read = new Map<string, TensorRecord>();

  private constructor(
    readonly dir: string,
    readonly spec: CaseSpec,
  ) {}

  /** Reads and checks `dir`/case.json. Throws DataError. */
  static open(dir: string): ParityCase {
    const file = path.join(dir, 'case.json');
    let json: unknown;
    try {
      json = JSON.parse(fs.readFileSync(file, 'utf8'));
    } catch (error) {
      throw new DataError(`Cannot read ${file}: ${(error as Error).message}`, { cause: error });
    }
    const parsed = caseSchema.safeParse(json);
    if (!parsed.success) throw new DataError(`${file}: ${z.prettifyError(parsed.error)}`);
    return new ParityCase(dir, parsed.data);
  }

  /** The tensors of one of the case's files by name; an empty record when the case has no such file. */
  tensors(file: 'weights' | 'inputs' | 'expected'): TensorRecord {
    const known = this.read.get(file);
    if (known) return known;
    const place = this.path(`${file}.safetensors`);
    const record = fs.existsSync(place) ? readSafetensors(place) : tensorRecord();
    this.read.set(file, record);
    return record;
  }

  /** The place of a file of this case. */
  path(...parts: string[]): string {
    return path.join(this.dir, ...parts);
  }

  /** The configuration, checked against the schema of its kind. Throws DataError naming what does not fit. */
  config<S extends z.ZodType>(schema: S): z.output<S> {
    const parsed = schema.safeParse(this.spec.config);
    if (!parsed.success) throw new DataError(`${this.path('case.json')}, config: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }
}
