// Batches of a data set, made in worker threads.
export {
  type Batch,
  type BatchOf,
  DataLoader,
  type LoaderOptions,
  type LoaderStats,
  type ViewBatch,
} from './loader.js';
