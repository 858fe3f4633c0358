// Sessions: graphs that TensorFlow has loaded. TensorFlow optimises a graph anew for every set of inputs and outputs that
// it is called with, which takes longer than recording it. So a session that is closed is kept for the next program whose
// graph is the same, byte for byte.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CaptureError } from '../../errors.js';
import { tensorflow } from '../backend.js';

/** A loaded graph that one program has for itself. */
export interface Session {
  readonly id: number;
  /** Leaves the session to others. Its variables keep values that nobody may count on. */
  close(): void;
}

interface ClosedSession {
  readonly graph: string;
  readonly id: number;
  readonly bytes: number;
}

/** What closed sessions may hold together. A larger one is freed at once. */
const MAX_CLOSED_BYTES = 256 * 2 ** 20;

/** The most recently closed one last. */
const closed: ClosedSession[] = [];

/**
 * A session for `graph` (saved_model.pb): a closed one where there is one, else a new one.
 * @param bytes of memory that it takes, about
 * @throws CaptureError where TensorFlow refuses the graph
 */
export function openSession(graph: Uint8Array, bytes: number): Session {
  const hash = createHash('sha256').update(graph).digest('base64url');
  const place = closed.findIndex((session) => session.graph === hash);
  const id = place < 0 ? load(graph) : closed.splice(place, 1)[0]!.id;
  return { id, close: () => keep({ graph: hash, id, bytes }) };
}

function load(graph: Uint8Array): number {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vitlab-graph-'));
  try {
    fs.writeFileSync(path.join(folder, 'saved_model.pb'), graph);
    return tensorflow().binding.loadSavedModel(folder, 'serve');
  } catch (error) {
    throw new CaptureError(`TensorFlow refused the recorded graph: ${(error as Error).message}`, { cause: error });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** Keeps a session where it fits; those that were closed first make room. */
function keep(session: ClosedSession): void {
  const leaving = session.bytes > MAX_CLOSED_BYTES ? [session] : [];
  if (leaving.length === 0) closed.push(session);
  let total = closed.reduce((sum, { bytes }) => sum + bytes, 0);
  for (; total > MAX_CLOSED_BYTES; total -= leaving.at(-1)!.bytes) leaving.push(closed.shift()!);
  for (const { id } of leaving) tensorflow().binding.deleteSavedModel(id);
}
