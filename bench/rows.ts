// What is measured. A row says the work in numbers, so that all sides build it from the same description.

/** A ViT as timm's `VisionTransformer` takes it, or a Swin as its `SwinTransformer` does. */
export type Architecture =
  | {
      family: 'vit';
      imgSize: number;
      patchSize: number;
      embedDim: number;
      depth: number;
      numHeads: number;
      numClasses: number;
    }
  | { family: 'swin'; imgSize: number; embedDim: number; depths: number[]; numHeads: number[]; numClasses: number };

/** How the model is tuned, in our names. Without, the whole model trains. */
export type RowTuning =
  | { method: 'adaptformer'; bottleneck: number; dropout: number }
  | { method: 'mona'; inner: number; dropout: number }
  | { method: 'vpt'; numTokens: number; deep: true }
  | { method: 'lora'; r: number; alpha: number };

export interface ModelRow {
  /** `first`: what the first step costs, beside an eager one; has no peer. */
  kind: 'train' | 'infer' | 'first';
  name: string;
  model: Architecture;
  tuning?: RowTuning;
  optimizer: 'momentum' | 'adamw';
  batch: number;
  precision: 'fp32' | 'bf16';
  /** The row that trains the whole of the same model. */
  whole?: ModelRow;
  quick: boolean;
}

export interface MatmulRow {
  kind: 'matmul';
  name: string;
  /** Rows, columns and inner size of a square product. */
  size: number;
  precision: 'fp32' | 'bf16';
}

export interface DataRow {
  kind: 'data';
  name: string;
  /** Folder of JPEG images below `train/<class>`, made for the measurement. */
  images: number;
  side: number;
  batch: number;
  quick: boolean;
}

export type Row = ModelRow | MatmulRow | DataRow;

interface Shape {
  label: string;
  model: Architecture;
  batch: number;
  optimizer: 'momentum' | 'adamw';
  tunings: readonly RowTuning['method'][];
  quick?: boolean;
}

const vit = (embedDim: number, depth: number, imgSize: number, patchSize: number): Architecture => ({
  ...{ family: 'vit', imgSize, patchSize, embedDim, depth, numHeads: embedDim / 64, numClasses: 100 },
});

const SWIN_T: Architecture = {
  ...{ family: 'swin', imgSize: 224, embedDim: 96, depths: [2, 2, 6, 2], numHeads: [3, 6, 12, 24], numClasses: 100 },
};

const ON_VIT = ['adaptformer', 'vpt', 'lora'] as const;

const SHAPES: readonly Shape[] = [
  {
    ...{ label: 'ViT 192×4, 101 tokens', model: vit(192, 4, 32, 3), batch: 32 },
    ...{ optimizer: 'momentum', tunings: [], quick: true },
  },
  {
    ...{ label: 'ViT 768×2, 101 tokens', model: vit(768, 2, 32, 3), batch: 16 },
    ...{ optimizer: 'momentum', tunings: [], quick: true },
  },
  { label: 'ViT-Ti, 101 tokens', model: vit(192, 12, 32, 3), batch: 32, optimizer: 'momentum', tunings: ON_VIT },
  { label: 'ViT-Ti, 197 tokens', model: vit(192, 12, 224, 16), batch: 16, optimizer: 'momentum', tunings: ON_VIT },
  { label: 'ViT-B, 101 tokens', model: vit(768, 12, 32, 3), batch: 8, optimizer: 'adamw', tunings: ON_VIT },
  { label: 'ViT-B, 197 tokens', model: vit(768, 12, 224, 16), batch: 4, optimizer: 'adamw', tunings: ON_VIT },
  { label: 'Swin-T', model: SWIN_T, batch: 8, optimizer: 'adamw', tunings: ['adaptformer', 'mona', 'vpt', 'lora'] },
];

const TUNINGS: Readonly<Record<RowTuning['method'], RowTuning>> = {
  adaptformer: { method: 'adaptformer', bottleneck: 64, dropout: 0.1 },
  mona: { method: 'mona', inner: 64, dropout: 0.1 },
  vpt: { method: 'vpt', numTokens: 10, deep: true },
  lora: { method: 'lora', r: 8, alpha: 16 },
};

const LABELS: Readonly<Record<RowTuning['method'], string>> = {
  ...{ adaptformer: 'AdaptFormer', mona: 'Mona', vpt: 'VPT-deep', lora: 'LoRA' },
};

const PRECISIONS = ['fp32', 'bf16'] as const;

function modelRows(kind: ModelRow['kind'], shapes = SHAPES): ModelRow[] {
  return shapes.flatMap(({ label, model, batch, optimizer, tunings, quick = false }) =>
    PRECISIONS.flatMap((precision) => {
      const named = (what: string): string => `${kind} ${label}${what}, batch ${batch}, ${precision}`;
      const whole: ModelRow = { kind, name: named(''), model, optimizer, batch, precision, quick };
      const tuned = tunings.map((method) => ({
        ...{ ...whole, name: named(`, ${LABELS[method]}`), tuning: TUNINGS[method], whole, quick: false },
      }));
      return kind === 'train' ? [whole, ...tuned] : [whole];
    }),
  );
}

const matmul = (precision: MatmulRow['precision']): MatmulRow => {
  return { kind: 'matmul', name: `matmul 2048, ${precision}`, size: 2048, precision };
};

/** The machine's matrix product, which the speed of a model is a fraction of. */
export const MATMULS = { fp32: matmul('fp32'), bf16: matmul('bf16') };

export const SUITES: Readonly<Record<'train' | 'infer' | 'first' | 'data', readonly (ModelRow | DataRow)[]>> = {
  train: modelRows('train'),
  infer: modelRows('infer'),
  first: modelRows('first').filter(({ precision }) => precision === 'fp32'),
  data: [
    { kind: 'data', name: 'data JPEG 32×32, crop, flip, normalise', images: 5000, side: 32, batch: 128, quick: true },
  ],
};
