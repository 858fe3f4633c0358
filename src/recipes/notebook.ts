// Jupyter notebooks as files (nbformat 4): read, checked at the border, written whole or not at all.
import fs from 'node:fs';
import { z } from 'zod';
import { UsageError } from '../errors.js';
import { writeFileAtomic } from '../files.js';

const text = z.union([z.string(), z.array(z.string()).transform((lines) => lines.join(''))]);

const outputSchema = z.looseObject({
  output_type: z.string(),
  name: z.string().optional(),
  text: text.optional(),
  data: z.record(z.string(), z.unknown()).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

const cellSchema = z.looseObject({
  cell_type: z.enum(['code', 'markdown', 'raw']),
  source: text,
  metadata: z.looseObject({ tags: z.array(z.string()).optional() }),
  outputs: z.array(outputSchema).optional(),
  execution_count: z.number().nullable().optional(),
  id: z.string().optional(),
});

const notebookSchema = z.looseObject({
  nbformat: z.literal(4),
  nbformat_minor: z.number(),
  metadata: z.record(z.string(), z.unknown()),
  cells: z.array(cellSchema),
});

export type Output = z.infer<typeof outputSchema>;
export type Cell = z.infer<typeof cellSchema>;
export type Notebook = z.infer<typeof notebookSchema>;

/** Reads a notebook; sources and output texts come as one string. @throws UsageError where it is none. */
export function readNotebook(file: string): Notebook {
  let json: unknown;
  try {
    json = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`Cannot read the notebook ${file}: ${(error as Error).message}`, { cause: error });
  }
  const result = notebookSchema.safeParse(json);
  if (!result.success) {
    throw new UsageError(
      `${file} is not a notebook of format 4: ${z.prettifyError(result.error).replace(/\s+/g, ' ')}`,
    );
  }
  return result.data;
}

/** Writes a notebook as Jupyter does. */
export function writeNotebook(file: string, notebook: Notebook): void {
  writeText(file, notebookText(notebook));
}

/** A notebook as the text of its file: one space of indentation, texts as lists of lines. */
export function notebookText(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => ({
    ...cell,
    source: lines(cell.source),
    ...(cell.outputs && {
      outputs: cell.outputs.map((output) =>
        output.text === undefined ? output : { ...output, text: lines(output.text) },
      ),
    }),
  }));
  return `${JSON.stringify({ ...notebook, cells }, null, 1)}\n`;
}

/** Writes text atomically. */
export function writeText(file: string, content: string): void {
  writeFileAtomic(file, [Buffer.from(content)]);
}

/** Writes JSON atomically. */
export function writeJson(file: string, value: unknown): void {
  writeText(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** True where the cell carries the tag. */
export function hasTag(cell: Cell, tag: string): boolean {
  return cell.metadata.tags?.includes(tag) ?? false;
}

/** A copy without outputs and counts, as it was before any execution. */
export function withoutOutputs(notebook: Notebook): Notebook {
  const cells = notebook.cells.map((cell) =>
    cell.cell_type === 'code' ? { ...cell, outputs: [], execution_count: null } : { ...cell },
  );
  return { ...notebook, cells };
}

function lines(source: string): string[] {
  return source.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
