// The errors of vitlab. Each names what was seen and what was expected, and says what to do next; the command
// line prints the message as one paragraph and exits with `exitCode`.

/** An error that a user can act on. `exitCode` is what `npx vitlab` exits with. */
export class VitlabError extends Error {
  readonly exitCode: number = 1;
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Bad usage: an unknown option, parameter, name or value. */
export class UsageError extends VitlabError {
  override readonly exitCode = 2;
}

/** A tensor, parameter or image whose shape is not the expected one. */
export class ShapeError extends VitlabError {}

/** A step that cannot be recorded as a graph (see `engine/capture/recordingSession.ts`). */
export class CaptureError extends VitlabError {}

/** A data set that is missing, damaged or not of the declared layout. */
export class DataError extends VitlabError {}

/** A checkpoint file that is damaged, hostile or does not fit the model. */
export class CheckpointError extends VitlabError {}

/** Training that cannot go on: a non-finite loss, a checkpoint of another run. */
export class TrainingError extends VitlabError {}

/** The valid name closest to `name` (edit distance), for messages that suggest what was meant. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(name.length / 2)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** The first of many names, for messages: `a, b and 3 more`. */
export function few(names: readonly string[], most = 8): string {
  return names.slice(0, most).join(', ') + (names.length > most ? ` and ${names.length - most} more` : '');
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
