// Ready-made pipelines.
import { CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD } from './floats.js';
import type { TransformSpec } from './specs.js';

export interface PresetOptions {
  /** Height and width of the result, in pixels. */
  size?: number;
  mean?: readonly [number, number, number];
  std?: readonly [number, number, number];
  /** The smallest share of the area a MoCo crop takes. */
  cropMin?: number;
  /** How far a MoCo view may turn hues, 0…0.5. MoCo's own is 0.1. */
  hue?: number;
  /** Bounds of a MoCo view's blur, in pixels. Default 0.1…2, made for 224 × 224: scale it with smaller images. */
  blurSigma?: readonly [number, number];
}

type Preset = (options?: PresetOptions) => TransformSpec[];

function normalize(options: PresetOptions, mean: readonly number[], std: readonly number[]): TransformSpec {
  type Triple = [number, number, number];
  return { name: 'normalize', mean: [...(options.mean ?? mean)] as Triple, std: [...(options.std ?? std)] as Triple };
}

/** Pixels. */
const BLUR = [0.1, 2] as const;

/** MoCo v3's two views (its `main_moco.py`): they differ in how often they blur and solarise. */
function moco(options: PresetOptions, blur: number, solarize: number): TransformSpec[] {
  const specs: TransformSpec[] = [
    { name: 'randomResizedCrop', size: options.size ?? 224, scale: [options.cropMin ?? 0.08, 1] },
    {
      name: 'randomApply',
      p: 0.8,
      transforms: [{ name: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: options.hue ?? 0.1 }],
    },
    { name: 'grayscale', p: 0.2 },
    {
      name: 'randomApply',
      p: blur,
      transforms: [{ name: 'gaussianBlur', sigma: [...(options.blurSigma ?? BLUR)] as [number, number] }],
    },
  ];
  if (solarize > 0) specs.push({ name: 'randomApply', p: solarize, transforms: [{ name: 'solarize' }] });
  specs.push({ name: 'horizontalFlip' }, normalize(options, IMAGENET_MEAN, IMAGENET_STD));
  return specs;
}

/** Pipelines by name. */
export const augmentations = {
  /** Training of the AdaptFormer reproduction: crop, brightness, contrast, flip, rotation, CIFAR statistics. */
  adaptformer: (options = {}) => [
    { name: 'randomCrop', size: options.size ?? 32, padding: 4 },
    { name: 'randomApply', p: 0.5, transforms: [{ name: 'colorJitter', brightness: 0.1 }] },
    { name: 'randomApply', p: 0.5, transforms: [{ name: 'colorJitter', contrast: 0.1 }] },
    { name: 'horizontalFlip' },
    { name: 'randomRotation', degrees: 15 },
    normalize(options, CIFAR_MEAN, CIFAR_STD),
  ],
  /** Crop with padding 4, flip, CIFAR statistics. */
  cropFlip: (options = {}) => [
    { name: 'randomCrop', size: options.size ?? 32, padding: 4 },
    { name: 'horizontalFlip' },
    normalize(options, CIFAR_MEAN, CIFAR_STD),
  ],
  /** Normalisation alone: evaluation. With `size`, resized to it and cropped in the middle. */
  none: (options = {}) => [
    ...(options.size === undefined
      ? []
      : ([
          { name: 'resize', size: options.size },
          { name: 'centerCrop', size: options.size },
        ] as const)),
    normalize(options, CIFAR_MEAN, CIFAR_STD),
  ],
  moco1: (options = {}) => moco(options, 1, 0),
  moco2: (options = {}) => moco(options, 0.1, 0.2),
} satisfies Record<string, Preset>;
