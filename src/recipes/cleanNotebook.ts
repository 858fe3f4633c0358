// The normal form of a notebook in git: nothing of a run in it, and the same bytes whoever saved it.
import { type Cell, hasTag, type Notebook, notebookText, withoutOutputs } from './notebook.js';

const LANGUAGE_KEYS = ['file_extension', 'mimetype', 'name'] as const;
/** Metadata of cells that a person sets; everything else is left by programs that ran or showed the notebook. */
const CELL_KEYS = ['tags', 'slideshow'] as const;

/**
 * The file's text in normal form: no outputs, no counts, no injected parameters, no empty cells, no metadata of runs;
 * keys sorted and indented as Jupyter saves them. Cleaning what is clean changes nothing.
 */
export function cleanNotebook(notebook: Notebook): string {
  const { kernelspec, language_info: language, vitlab } = notebook.metadata;
  const cells = withoutOutputs(notebook)
    .cells.map((cell): Cell => ({ ...cell, source: cell.source.replace(/\s+$/, '') }))
    .filter((cell) => cell.source !== '' && !hasTag(cell, 'injected-parameters'));
  const ids = freshIds(cells);
  const clean = {
    ...notebook,
    nbformat_minor: 5,
    metadata: {
      ...(kernelspec !== undefined && { kernelspec }),
      ...(language !== undefined && { language_info: only(language as Record<string, unknown>, LANGUAGE_KEYS) }),
      ...(vitlab !== undefined && { vitlab }),
    },
    cells: cells.map((cell, index) => ({ ...cell, id: ids[index]!, metadata: only(cell.metadata, CELL_KEYS) })),
  };
  return notebookText(sorted(clean) as typeof clean);
}

function only(values: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));
}

/** Ids as they are; new ones for cells that have none, or that of another cell (as copied cells have in some editors). */
function freshIds(cells: readonly Cell[]): string[] {
  const taken = new Set<string>();
  const keep = cells.map(({ id }) => id !== undefined && !taken.has(id) && taken.add(id) && id);
  let next = 0;
  return keep.map((id) => {
    if (id) return id;
    while (taken.has(`c${String(next).padStart(2, '0')}`)) next++;
    const made = `c${String(next).padStart(2, '0')}`;
    taken.add(made);
    return made;
  });
}

/** The value with the keys of all its objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
