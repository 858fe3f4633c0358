// What is measured. A row says the work in numbers, so that both sides build it from the same description.

export interface ModelRow {
  kind: 'train' | 'infer';
  name: string;
  /** A ViT as timm's `VisionTransformer` takes it. */
  vit: { imgSize: number; patchSize: number; embedDim: number; depth: number; numHeads: number; numClasses: number };
  batch: number;
  precision: 'fp32' | 'bf16';
  quick?: boolean;
}

export interface MatmulRow {
  kind: 'matmul';
  name: string;
  /** Rows, columns and inner size of a square product. */
  size: number;
  precision: 'fp32' | 'bf16';
  quick?: boolean;
}

export interface DataRow {
  kind: 'data';
  name: string;
  /** Folder of JPEG images below `train/<class>`, made for the measurement. */
  images: number;
  side: number;
  batch: number;
  quick?: boolean;
}

export type Row = ModelRow | MatmulRow | DataRow;

const SHAPES = [
  { label: 'ViT 192×4, 101 tokens', embedDim: 192, depth: 4, imgSize: 32, patchSize: 3, batch: 32, quick: true },
  { label: 'ViT 768×2, 101 tokens', embedDim: 768, depth: 2, imgSize: 32, patchSize: 3, batch: 16, quick: true },
  { label: 'ViT-Ti/16, 197 tokens', embedDim: 192, depth: 12, imgSize: 224, patchSize: 16, batch: 16, quick: false },
  { label: 'ViT-B/16, 197 tokens', embedDim: 768, depth: 12, imgSize: 224, patchSize: 16, batch: 4, quick: false },
] as const;

const PRECISIONS = ['fp32', 'bf16'] as const;

const modelRows = (kind: 'train' | 'infer'): ModelRow[] =>
  SHAPES.flatMap(({ label, embedDim, depth, imgSize, patchSize, batch, quick }) =>
    PRECISIONS.map((precision) => ({
      kind,
      name: `${kind} ${label}, batch ${batch}, ${precision}`,
      vit: { imgSize, patchSize, embedDim, depth, numHeads: embedDim / 64, numClasses: 100 },
      batch,
      precision,
      quick,
    })),
  );

/** The machine's matrix product, what every other figure is a fraction of. */
export const MATMULS: readonly MatmulRow[] = PRECISIONS.map((precision) => ({
  kind: 'matmul',
  name: `matmul 2048, ${precision}`,
  size: 2048,
  precision,
  quick: true,
}));

export const SUITES: Readonly<Record<'train' | 'infer' | 'data', readonly Row[]>> = {
  train: modelRows('train'),
  infer: modelRows('infer'),
  data: [
    { kind: 'data', name: 'data JPEG 32×32, crop, flip, normalise', images: 5000, side: 32, batch: 128, quick: true },
  ],
};
