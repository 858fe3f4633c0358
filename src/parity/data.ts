// Runners of the fixture kinds of the data group.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import * as data from '../data/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import type { Checker } from './check.js';

const pair = z.tuple([z.number(), z.number()]);
const triple = z.tuple([z.number(), z.number(), z.number()]);
const interpolation = z.enum(['nearest', 'bilinear', 'bicubic']);
const box = z.object({ top: z.number(), left: z.number(), height: z.number(), width: z.number() });
const statistics = z.object({ mean: triple, std: triple });
const factor = z.object({ factor: z.number() });

type Operation = (image: data.Image, params: unknown) => data.Image;
type FloatOperation = (image: data.Image, params: unknown) => Float32Array;

/** An operation whose parameters are checked first. */
function withParams<S extends z.ZodType, R>(schema: S, run: (image: data.Image, params: z.output<S>) => R) {
  return (image: data.Image, params: unknown): R => run(image, schema.parse(params));
}

const { brightness, contrast, saturation, hue } = data;
const jitterSteps = { brightness, contrast, saturation, hue };
const anyParams = z.unknown();

/** The 8-bit operations, in Pillow's variant. */
const operations: Record<string, Operation> = {
  resize: withParams(z.object({ size: pair, interpolation, antialias: z.literal(true) }), (image, p) =>
    data.resize(image, p.size[0], p.size[1], p.interpolation),
  ),
  'resize-shorter': withParams(z.object({ size: z.number(), interpolation }), (image, p) =>
    data.resizeShorter(image, p.size, p.interpolation),
  ),
  'center-crop': withParams(z.object({ size: pair }), (image, p) => data.centerCrop(image, ...p.size)),
  pad: withParams(
    z.object({ padding: z.union([z.number(), z.array(z.number())]), mode: z.enum(data.PAD_MODES), fill: z.number() }),
    (image, p) => data.pad(image, p.padding, p.mode, p.fill),
  ),
  crop: withParams(box, (image, p) => data.crop(image, p.top, p.left, p.height, p.width)),
  'resized-crop': withParams(box.extend({ size: pair, interpolation }), (image, p) =>
    data.resizedCrop(image, p, p.size[0], p.size[1], p.interpolation),
  ),
  hflip: withParams(anyParams, (image) => data.horizontalFlip(image)),
  vflip: withParams(anyParams, (image) => data.verticalFlip(image)),
  rotate: withParams(
    z.object({
      degrees_counter_clockwise: z.number(),
      interpolation: z.literal('nearest'),
      fill: z.number(),
      expand: z.literal(false),
    }),
    (image, p) => data.rotate(image, p.degrees_counter_clockwise, p.fill),
  ),
  brightness: withParams(factor, (image, p) => data.brightness(image, p.factor)),
  contrast: withParams(factor, (image, p) => data.contrast(image, p.factor)),
  saturation: withParams(factor, (image, p) => data.saturation(image, p.factor)),
  hue: withParams(factor, (image, p) => data.hue(image, p.factor)),
  grayscale3: withParams(anyParams, (image) => data.grayscale(image)),
  solarize: withParams(z.object({ threshold: z.number() }), (image, p) => data.solarize(image, p.threshold)),
  invert: withParams(anyParams, (image) => data.invert(image)),
  posterize: withParams(z.object({ bits: z.number() }), (image, p) => data.posterize(image, p.bits)),
  autocontrast: withParams(anyParams, (image) => data.autocontrast(image)),
  equalize: withParams(anyParams, (image) => data.equalize(image)),
  sharpness: withParams(factor, (image, p) => data.sharpness(image, p.factor)),
  'gaussian-blur-pil': withParams(z.object({ radius: z.number() }), (image, p) =>
    data.pilGaussianBlur(image, p.radius),
  ),
  'gaussian-blur': withParams(z.object({ kernel_size: z.number(), sigma: z.number() }), (image, p) =>
    data.gaussianBlur(image, p.kernel_size, p.sigma),
  ),
  'color-jitter': withParams(
    z.object({
      order: z.array(z.enum(['brightness', 'contrast', 'saturation', 'hue'])),
      factors: z.record(z.string(), z.number()),
    }),
    (image, p) => p.order.reduce((out, step) => jitterSteps[step](out, p.factors[step]!), image),
  ),
};

/** `pad<padding>-crop<size>`: padded with 0, then cropped at a place of the padded image. */
const padThenCrop = withParams(
  z.object({ padding: z.number(), top: z.number(), left: z.number(), size: z.number() }),
  (image, p) => data.crop(image, p.top - p.padding, p.left - p.padding, p.size, p.size),
);

function operationOf(name: string): Operation | undefined {
  return /^pad\d+-crop\d+$/.test(name) ? padThenCrop : Object.hasOwn(operations, name) ? operations[name] : undefined;
}

function toFloat(image: data.Image, mean: readonly number[], std: readonly number[]): Float32Array {
  const out = new Float32Array(image.data.length);
  data.normalizeInto(image.data, data.normalizeTable(mean, std), out, 0);
  return out;
}

const plain = (image: data.Image) => toFloat(image, [0, 0, 0], [1, 1, 1]);
const normalized = withParams(statistics, (image, p) => toFloat(image, p.mean, p.std));

/** The operations with a float result, HWC. */
const floatOperations: Record<string, FloatOperation> = {
  'to-tensor': plain,
  normalize: normalized,
  'cifar-eval-pipeline': normalized,
  erase: withParams(box.extend({ value: z.union([z.number(), triple]) }), (image, p) => {
    const floats = plain(image);
    const value = typeof p.value === 'number' ? ([p.value, p.value, p.value] as const) : p.value;
    data.erase({ data: floats, offset: 0, height: image.height, width: image.width }, p, value);
    return floats;
  }),
};

/** [height, width, channels] as [channels, height, width]. */
function toChw(values: ArrayLike<number>, channels: number): Float32Array {
  const plane = values.length / channels;
  return Float32Array.from(values, (_, i) => values[(i % plane) * channels + Math.floor(i / plane)]!);
}

const transformsConfig = z.object({
  items: z.array(
    z.object({
      ...{ key: z.string(), op: z.string(), image: z.string(), tolerance: z.string() },
      params: z.unknown(),
      expected: z.array(z.enum(['pil', 'tensor', 'float'])),
    }),
  ),
});

function transforms(parityCase: ParityCase, check: Checker): void {
  const inputs = parityCase.tensors('inputs');
  for (const item of parityCase.config(transformsConfig).items) {
    const input = inputs[item.image];
    if (!input) {
      check.fail(item.key, `needs the image ${item.image}, which inputs.safetensors lacks`);
      continue;
    }
    const [height, width] = input.shape as [number, number];
    const image: data.Image = { data: input.data as Uint8Array, height, width };
    const operation = operationOf(item.op);
    const floatOperation = Object.hasOwn(floatOperations, item.op) ? floatOperations[item.op] : undefined;
    if (floatOperation) {
      const floats = toChw(floatOperation(image, item.params), 3);
      check.close(`${item.key}/float`, floats, [3, height, width], item.tolerance);
    } else if (operation) {
      const out = operation(image, item.params);
      check.close(`${item.key}/pil`, out.data, [out.height, out.width, 3], item.tolerance);
      if (item.expected.includes('tensor')) check.alternative(`${item.key}/tensor`, `${item.key}/pil`);
    } else {
      check.fail(item.key, `asks for the operation ${item.op}, which is unknown`);
    }
  }
}

/** Both versions of CIFAR, unpacked and as archives, must give what is expected. */
async function cifar(parityCase: ParityCase, check: Checker): Promise<void> {
  const { kind, files } = parityCase.spec;
  const name = z.enum(['cifar10', 'cifar100']).parse(kind);
  const config = parityCase.config(
    z.object({ label_names: z.array(z.string()).optional(), train: z.number(), test: z.number() }),
  );
  if (files.length === 0) check.fail('files', 'names no version of the data set');
  for (const file of files) {
    for (const split of ['train', 'test'] as const) {
      const read = await data.readCifar(name, parityCase.path(file), split);
      const count = read.labels.length;
      check.equal(`${file} ${split} count`, count, config[split]);
      if (config.label_names) check.equal(`${file} class names`, read.classes, config.label_names);
      const chw = Uint8Array.from(
        Array.from({ length: count }, (_, i) => [...toChw(data.sharedImage(read.shared, i).data, 3)]).flat(),
      );
      check.close(`${split}_images`, chw, [count, 3, 32, 32], 'values');
      check.close(`${split}_${name === 'cifar10' ? 'labels' : 'fine'}`, read.labels, [count], 'values');
      if (read.coarse) check.close(`${split}_coarse`, read.coarse, [count], 'values');
    }
  }
}

const cubConfig = z.object({
  images: z.number(),
  class_ids: z.array(z.number()),
  sizes_hw: z.record(z.string(), pair),
  boxes_xywh: z.record(z.string(), z.array(z.number())),
  train_class_index: z.record(z.string(), z.number()),
});

async function cub(parityCase: ParityCase, check: Checker): Promise<void> {
  const config = parityCase.config(cubConfig);
  const folder = parityCase.path('CUB_200_2011');
  const images = data.readCub(folder);
  check.equal('image count', images.length, config.images);
  check.equal('class ids', [...data.classIndices(images.map((image) => image.classId)).keys()], config.class_ids);
  const json = data.cubJson(images);
  for (const [name, text] of [
    ['train.json', json.train],
    ['val.json', json.val],
  ] as const) {
    check.equal(name, text, fs.readFileSync(parityCase.path(name), 'utf8'));
  }
  const train = images.filter((image) => image.split === 'train');
  const index = data.classIndices(train.map((image) => image.classId));
  check.equal('train_class_index', Object.fromEntries(index), config.train_class_index);
  check.equal('boxes', Object.fromEntries(images.map((image) => [image.file, image.box])), config.boxes_xywh);
  for (const { file } of images) {
    const { height, width } = await data.readImage(path.join(folder, 'images', file));
    check.equal(`size of ${file}`, [height, width], config.sizes_hw[file]);
  }
}

export const dataKinds: Record<string, CaseRunner> = { cifar10: cifar, cifar100: cifar, cub, transforms };
