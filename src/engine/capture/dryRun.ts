// A pass of which only the shapes matter: nothing is computed and no values are held.
import { isTensorflow } from '../backend.js';
import type { Variable } from '../tf.js';
import { Recorder } from './recorder.js';
import { RecordingSession } from './recordingSession.js';

/**
 * Runs `pass` as a recording that nobody keeps: its tensors have shapes and types, and no values. `variables` are those
 * that it reads. Engines that cannot record run it as it is.
 * @param name what errors call it
 * @throws CaptureError where the pass reads values, or what else cannot be recorded
 */
export function runDry<T>(name: string, variables: readonly Variable[], pass: () => T): T {
  if (!isTensorflow()) return pass();
  let result!: T;
  new RecordingSession(new Recorder(), name, {}, variables).run(() => {
    result = pass();
  });
  return result;
}
