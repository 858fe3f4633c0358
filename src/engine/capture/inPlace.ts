// Updates of variables in place, as one op of a recorded graph.
import { hasNativeOps, nativeAttributes } from '../nativeOps.js';
import type { Tensor, Variable } from '../tf.js';
import { currentRecording } from './recordingSession.js';

/** One of vitlab's own ops that changes variables in the session's memory. */
export interface InPlaceUpdate {
  op: string;
  /** What it changes, in the order of the op's first inputs. */
  variables: readonly Variable[];
  /** Its other inputs. */
  inputs: readonly Tensor[];
  attributes: Parameters<typeof nativeAttributes>[0];
}

/**
 * Records an update, where a step is being recorded and the ops are there; else does nothing and gives false. Whoever
 * reads a variable afterwards within the step gets the new value.
 */
export function updateInPlace({ op, variables, inputs, attributes }: InPlaceUpdate): boolean {
  const recording = currentRecording();
  if (!recording || !hasNativeOps()) return false;
  recording.update(op, variables, inputs, nativeAttributes(attributes));
  return true;
}
