// Updates of variables in place, as one op of a recorded graph.
import { hasNativeOps, nativeAttributes } from '../nativeOps.js';
import type { InPlaceUpdate } from '../ownOps.js';
import { currentRecording } from './recordingSession.js';

/**
 * Records an update, where a step is being recorded and the ops are there; else does nothing and gives false. Whoever
 * reads a variable afterwards within the step gets the new value.
 */
export function recordUpdate({ op, variables, inputs, attributes }: InPlaceUpdate): boolean {
  const recording = currentRecording();
  if (!recording || !hasNativeOps()) return false;
  recording.update(op, variables, inputs, nativeAttributes(attributes));
  return true;
}
