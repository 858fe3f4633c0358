// What training and evaluation read: the loader's batches, or any other source of the same form.

/** Labelled images, NHWC float32. */
export interface LabelledBatch {
  images: Float32Array;
  /** `[n, height, width, channels]` */
  shape: readonly [number, number, number, number];
  labels: Int32Array;
}

/** Where batches come from: the same batches in the same order for the same epoch. */
export interface Source<Batch> {
  readonly batchSize: number;
  /** Batches of an epoch. */
  readonly batches: number;
  /** Differs where the batches differ: a state file is taken up only on the same data. */
  readonly identity?: string;
  epoch(epoch: number, options?: { startBatch?: number }): AsyncIterable<Batch>;
}

/** Where labelled images come from. */
export type BatchSource = Source<LabelledBatch>;
