// The transforms a pipeline can name: for each its parameters (a zod schema with defaults) and what it does to an image.
// A pipeline is plain data, `[{ name: 'randomCrop', size: 32, padding: 4 }, …]`, so it can be recorded and sent to a
// worker. Distributions of the random parameters are torchvision's.
import { z } from 'zod';
import type { Rng } from '../../random/index.js';
import type { Image } from '../image.js';
import { gaussianBlur, pilGaussianBlur } from './blur.js';
import * as color from './color.js';
import * as geometry from './geometry.js';
import { INTERPOLATIONS, resize, resizeShorter } from './resize.js';

const side = z.number().int().positive();
const size = z.union([side, z.tuple([side, side])]);
const probability = z.number().min(0).max(1);
const level = z.number().int().min(0).max(255);
const interpolation = z.enum(INTERPOLATIONS).default('bilinear');
const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, 'the lower bound comes first');
const positiveRange = range.refine(([low]) => low > 0, 'the bounds are above 0');
const padding = z.union([
  z.number().int().min(0),
  z.tuple([z.number().int().min(0), z.number().int().min(0)]),
  z.tuple([z.number().int().min(0), z.number().int().min(0), z.number().int().min(0), z.number().int().min(0)]),
]);
/** Jitter strength: a number s means factors from max(0, 1 - s) to 1 + s. */
const strength = z.union([z.number().min(0), positiveRange]);

interface PixelTransform<S extends z.ZodType> {
  schema: S;
  apply(image: Image, spec: z.output<S>, rng: Rng): Image;
}

function define<S extends z.ZodType>(
  schema: S,
  apply: (image: Image, spec: z.output<S>, rng: Rng) => Image,
): PixelTransform<S> {
  return { schema, apply };
}

function both(value: number | readonly [number, number]): readonly [number, number] {
  return typeof value === 'number' ? [value, value] : value;
}

/** All transforms on 8-bit images, by name. */
export const PIXEL_TRANSFORMS = {
  /** One number: the shorter side, proportions kept. Two: height and width. */
  resize: define(z.strictObject({ name: z.literal('resize'), size, interpolation }), (image, spec) =>
    typeof spec.size === 'number'
      ? resizeShorter(image, spec.size, spec.interpolation)
      : resize(image, spec.size[0], spec.size[1], spec.interpolation),
  ),
  centerCrop: define(z.strictObject({ name: z.literal('centerCrop'), size }), (image, spec) => {
    const [height, width] = both(spec.size);
    return geometry.centerCrop(image, height, width);
  }),
  crop: define(
    z.strictObject({
      name: z.literal('crop'),
      ...{ top: z.number().int(), left: z.number().int(), height: side, width: side },
    }),
    (image, spec) => geometry.crop(image, spec.top, spec.left, spec.height, spec.width),
  ),
  pad: define(
    z.strictObject({
      name: z.literal('pad'),
      padding,
      mode: z.enum(geometry.PAD_MODES).default('constant'),
      fill: level.default(0),
    }),
    (image, spec) => geometry.pad(image, spec.padding, spec.mode, spec.fill),
  ),
  randomCrop: define(
    z.strictObject({ name: z.literal('randomCrop'), size, padding: padding.default(0), fill: level.default(0) }),
    randomCrop,
  ),
  randomResizedCrop: define(
    z.strictObject({
      name: z.literal('randomResizedCrop'),
      size,
      scale: positiveRange.default([0.08, 1]),
      ratio: positiveRange.default([3 / 4, 4 / 3]),
      interpolation,
    }),
    (image, spec, rng) => {
      const [height, width] = both(spec.size);
      const box = randomBox(image, spec.scale, spec.ratio, rng);
      return geometry.resizedCrop(image, box, height, width, spec.interpolation);
    },
  ),
  horizontalFlip: define(
    z.strictObject({ name: z.literal('horizontalFlip'), p: probability.default(0.5) }),
    (image, spec, rng) => (rng.chance(spec.p) ? geometry.horizontalFlip(image) : image),
  ),
  verticalFlip: define(
    z.strictObject({ name: z.literal('verticalFlip'), p: probability.default(0.5) }),
    (image, spec, rng) => (rng.chance(spec.p) ? geometry.verticalFlip(image) : image),
  ),
  /** By an angle between -degrees and degrees, nearest neighbour. */
  randomRotation: define(
    z.strictObject({ name: z.literal('randomRotation'), degrees: z.number().min(0), fill: level.default(0) }),
    (image, spec, rng) => geometry.rotate(image, rng.uniform(-spec.degrees, spec.degrees), spec.fill),
  ),
  /** In random order; hue is a turn of up to ± that part of the circle. */
  colorJitter: define(
    z.strictObject({
      name: z.literal('colorJitter'),
      ...{ brightness: strength.default(0), contrast: strength.default(0), saturation: strength.default(0) },
      hue: z.number().min(0).max(0.5).default(0),
    }),
    colorJitter,
  ),
  grayscale: define(z.strictObject({ name: z.literal('grayscale'), p: probability.default(1) }), (image, spec, rng) =>
    rng.chance(spec.p) ? color.grayscale(image) : image,
  ),
  /** Pillow's blur, as MoCo v3 uses it; with `kernelSize` torchvision's. */
  gaussianBlur: define(
    z.strictObject({
      name: z.literal('gaussianBlur'),
      sigma: positiveRange.default([0.1, 2]),
      kernelSize: side.optional(),
    }),
    (image, spec, rng) => {
      const sigma = rng.uniform(spec.sigma[0], spec.sigma[1]);
      return spec.kernelSize ? gaussianBlur(image, spec.kernelSize, sigma) : pilGaussianBlur(image, sigma);
    },
  ),
  solarize: define(z.strictObject({ name: z.literal('solarize'), threshold: level.default(128) }), (image, spec) =>
    color.solarize(image, spec.threshold),
  ),
  invert: define(z.strictObject({ name: z.literal('invert') }), (image) => color.invert(image)),
  posterize: define(
    z.strictObject({ name: z.literal('posterize'), bits: z.number().int().min(0).max(8) }),
    (image, spec) => color.posterize(image, spec.bits),
  ),
  autocontrast: define(z.strictObject({ name: z.literal('autocontrast') }), (image) => color.autocontrast(image)),
  equalize: define(z.strictObject({ name: z.literal('equalize') }), (image) => color.equalize(image)),
  sharpness: define(z.strictObject({ name: z.literal('sharpness'), factor: z.number().min(0) }), (image, spec) =>
    color.sharpness(image, spec.factor),
  ),
};

function randomCrop(
  image: Image,
  spec: { size: number | [number, number]; padding: number | number[]; fill: number },
  rng: Rng,
): Image {
  const [height, width] = both(spec.size);
  const sides = typeof spec.padding === 'number' ? [spec.padding] : spec.padding;
  const [left, top] = [sides[0]!, sides[1] ?? sides[0]!];
  const fullHeight = image.height + top + (sides[3] ?? top);
  const fullWidth = image.width + left + (sides[2] ?? left);
  // a crop larger than the image is padded evenly to its size
  const roomY = fullHeight - height;
  const roomX = fullWidth - width;
  const y = roomY >= 0 ? rng.integer(roomY + 1) : Math.trunc(roomY / 2);
  const x = roomX >= 0 ? rng.integer(roomX + 1) : Math.trunc(roomX / 2);
  return geometry.crop(image, y - top, x - left, height, width, spec.fill);
}

type Bounds = readonly [number, number];

/** A box of a random share of the area and a random aspect ratio; after ten misses the largest fitting central one. */
function randomBox(
  image: Image,
  scale: Bounds,
  ratio: Bounds,
  rng: Rng,
): { top: number; left: number; height: number; width: number } {
  const area = image.height * image.width;
  const [lowest, highest] = [Math.log(ratio[0]), Math.log(ratio[1])];
  for (let attempt = 0; attempt < 10; attempt++) {
    const target = area * rng.uniform(scale[0], scale[1]);
    const aspect = Math.exp(rng.uniform(lowest, highest));
    const width = Math.round(Math.sqrt(target * aspect));
    const height = Math.round(Math.sqrt(target / aspect));
    if (width > 0 && width <= image.width && height > 0 && height <= image.height) {
      const top = rng.integer(image.height - height + 1);
      return { top, left: rng.integer(image.width - width + 1), height, width };
    }
  }
  const aspect = image.width / image.height;
  const width = aspect > ratio[1] ? Math.round(image.height * ratio[1]) : image.width;
  const height = aspect < ratio[0] ? Math.round(image.width / ratio[0]) : image.height;
  return { top: (image.height - height) >> 1, left: (image.width - width) >> 1, height, width };
}

type Strength = number | [number, number];

function colorJitter(
  image: Image,
  spec: { brightness: Strength; contrast: Strength; saturation: Strength; hue: number },
  rng: Rng,
): Image {
  const order = rng.permutation(4);
  let out = image;
  for (const step of order) {
    if (step === 3) {
      if (spec.hue > 0) out = color.hue(out, rng.uniform(-spec.hue, spec.hue));
      continue;
    }
    const amount = step === 0 ? spec.brightness : step === 1 ? spec.contrast : spec.saturation;
    if (amount === 0) continue;
    const [low, high] = typeof amount === 'number' ? [Math.max(0, 1 - amount), 1 + amount] : amount;
    const factor = rng.uniform(low, high);
    if (step === 0) out = color.brightness(out, factor);
    else out = step === 1 ? color.contrast(out, factor) : color.saturation(out, factor);
  }
  return out;
}

const triple = z.tuple([z.number(), z.number(), z.number()]);

/** From 8-bit pixels to float32: (value / 255 - mean) / std. */
export const normalizeSchema = z.strictObject({
  name: z.literal('normalize'),
  mean: triple,
  std: triple.refine((values) => values.every((value) => value > 0), 'a standard deviation is above 0'),
});

/** Overwrites a random box after normalisation, with a value or with noise of mean 0 and deviation 1. */
export const randomErasingSchema = z.strictObject({
  name: z.literal('randomErasing'),
  p: probability.default(0.5),
  scale: positiveRange.default([0.02, 0.33]),
  ratio: positiveRange.default([0.3, 3.3]),
  value: z.union([z.number(), triple, z.literal('random')]).default(0),
});

type PixelName = keyof typeof PIXEL_TRANSFORMS;

/**
 * What a pipeline can hold, by name.
 * @interface
 */
export type TransformSpecs = { [Name in PixelName]: z.input<(typeof PIXEL_TRANSFORMS)[Name]['schema']> } & {
  normalize: z.input<typeof normalizeSchema>;
  randomErasing: z.input<typeof randomErasingSchema>;
  randomApply: { name: 'randomApply'; p?: number; transforms: TransformSpec[] };
};

/** One transform of a pipeline, as written by a user. */
export type TransformSpec = TransformSpecs[keyof TransformSpecs];

/** Applies all of its transforms, or none. */
export const randomApplySchema = z.strictObject({
  name: z.literal('randomApply'),
  p: probability.default(0.5),
  transforms: z.array(z.looseObject({ name: z.string() })).min(1),
});

/** The names a pipeline can use. */
export const TRANSFORM_NAMES: readonly string[] = [
  ...Object.keys(PIXEL_TRANSFORMS),
  ...['randomApply', 'normalize', 'randomErasing'],
];
