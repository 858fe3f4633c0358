// Random numbers that follow from (seed, purpose, step) alone.
export { PhiloxStream } from './philox.js';
export { hashPurpose, Rng } from './rng.js';
