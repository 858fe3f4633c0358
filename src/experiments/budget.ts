// What a training takes beside model and data, and the loaders that follow from it.
import { augmentations, DataLoader, type Dataset, type PresetOptions, type TransformSpec } from '../data/index.js';
import type { FitOptions, TrainStepOptions } from '../train/index.js';

/** How training images are changed: a preset, or the transforms of training and of test images in full. */
export type Augmentation =
  | 'cropFlip'
  | 'adaptformer'
  | 'none'
  | { readonly train: readonly TransformSpec[]; readonly test: readonly TransformSpec[] };

/** What a training takes beside model and data, the options of its loss included. */
export interface Budget
  extends TrainStepOptions,
    Pick<FitOptions, 'epochs' | 'optimizer' | 'schedule' | 'sparesNorms' | 'seed' | 'precision' | 'mode'> {
  batchSize: number;
  augmentation: Augmentation;
  /**
   * For presets: the side in pixels that images are brought to (without it they keep theirs), and the statistics that
   * they are normalised with (CIFAR's).
   */
  images?: Pick<PresetOptions, 'size' | 'mean' | 'std'>;
}

/** The transforms of training and of test images. */
export function transformsOf({
  augmentation,
  images = {},
}: Budget): Record<'train' | 'test', readonly TransformSpec[]> {
  if (typeof augmentation !== 'string') return augmentation;
  const test = augmentations.none(images);
  if (augmentation === 'none') return { train: test, test };
  const resize: TransformSpec[] = images.size === undefined ? [] : [{ name: 'resize', size: images.size }];
  return { train: [...resize, ...augmentations[augmentation](images)], test };
}

/** Shuffled, augmented batches, all of them full, of all images or of those of `indices`. */
export function trainingLoader(set: Dataset, budget: Budget, indices?: ArrayLike<number>): DataLoader {
  const { batchSize, seed } = budget;
  return new DataLoader(set, {
    batchSize,
    transforms: transformsOf(budget).train,
    seed,
    shuffle: true,
    dropLast: true,
    ...(indices && { indices }),
  });
}

/** Every image once (or every one of `indices`), in order, as evaluations see it. */
export function evaluationLoader(set: Dataset, budget: Budget, indices?: ArrayLike<number>): DataLoader {
  const { batchSize, seed } = budget;
  return new DataLoader(set, { batchSize, transforms: transformsOf(budget).test, seed, ...(indices && { indices }) });
}
