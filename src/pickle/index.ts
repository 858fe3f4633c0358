// Reads Python pickles without Python and without running anything: see `unpickle.ts`.
export { ByteReader } from './reader.js';
export {
  GlobalRef,
  PickleError,
  type PickleHandler,
  type PickleOptions,
  readPickle,
  Tuple,
  unpickle,
} from './unpickle.js';
