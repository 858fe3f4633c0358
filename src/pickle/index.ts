// Reads Python pickles without Python and without running anything: see `unpickle.ts`.
export { ByteReader, PickleError } from './reader.js';
export { readPickle, unpickle } from './unpickle.js';
export { GlobalRef, type PickleHandler, type PickleOptions, Tuple, wordFor } from './values.js';
