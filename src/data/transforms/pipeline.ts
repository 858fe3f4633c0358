// A pipeline made ready to run: specs checked once, then applied image by image, straight into a batch.
import { z } from 'zod';
import { nearest, UsageError } from '../../errors.js';
import type { Rng } from '../../random/index.js';
import type { Image } from '../image.js';
import { erase, type FloatImage, normalizeInto, normalizeTable } from './floats.js';
import {
  normalizeSchema,
  PIXEL_TRANSFORMS,
  randomApplySchema,
  randomErasingSchema,
  TRANSFORM_NAMES,
  type TransformSpec,
} from './specs.js';

type PixelStep = (image: Image, rng: Rng) => Image;
type FloatStep = (image: FloatImage, rng: Rng) => void;

/** A checked pipeline: first the steps on 8-bit pixels, then normalisation, then the steps on floats. */
export class Pipeline {
  private readonly pixelSteps: PixelStep[] = [];
  private readonly floatSteps: FloatStep[] = [];
  private table: Float32Array | undefined;

  /** @throws UsageError naming the step that is unknown, misplaced or has a wrong parameter. */
  constructor(readonly specs: readonly TransformSpec[]) {
    for (const [index, spec] of specs.entries()) this.add(spec, `transforms[${index}]`);
    this.table ??= normalizeTable([0, 0, 0], [1, 1, 1]);
  }

  private add(spec: TransformSpec, where: string): void {
    if (spec.name === 'normalize') {
      if (this.table) throw new UsageError(`${where}: a pipeline normalises once.`);
      const { mean, std } = checked(normalizeSchema, spec, where);
      this.table = normalizeTable(mean, std);
    } else if (spec.name === 'randomErasing') {
      if (!this.table) throw new UsageError(`${where}: randomErasing works on floats; put it after normalize.`);
      this.floatSteps.push(erasing(checked(randomErasingSchema, spec, where)));
    } else {
      if (this.table) throw new UsageError(`${where}: ${spec.name} works on 8-bit pixels; put it before normalize.`);
      this.pixelSteps.push(pixelStep(spec, where));
    }
  }

  /** The steps on 8-bit pixels. */
  pixels(image: Image, rng: Rng): Image {
    let out = image;
    for (const step of this.pixelSteps) out = step(out, rng);
    return out;
  }

  /** The rest: writes the result of `pixels` into `out` from `offset` on, as floats, HWC. */
  finish(image: Image, rng: Rng, out: Float32Array, offset: number): void {
    normalizeInto(image.data, this.table!, out, offset);
    if (this.floatSteps.length === 0) return;
    const float = { data: out, offset, height: image.height, width: image.width };
    for (const step of this.floatSteps) step(float, rng);
  }
}

/** An image through a pipeline: [height, width, 3] floats. */
export function applyPipeline(
  pipeline: Pipeline | readonly TransformSpec[],
  image: Image,
  rng: Rng,
): { data: Float32Array; height: number; width: number } {
  const ready = pipeline instanceof Pipeline ? pipeline : new Pipeline(pipeline);
  const pixels = ready.pixels(image, rng);
  const data = new Float32Array(pixels.data.length);
  ready.finish(pixels, rng, data, 0);
  return { data, height: pixels.height, width: pixels.width };
}

function checked<S extends z.ZodType>(schema: S, spec: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(spec);
  if (parsed.success) return parsed.data;
  const { name } = spec as TransformSpec;
  throw new UsageError(`${where}, ${name}: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`);
}

function pixelStep(spec: TransformSpec, where: string): PixelStep {
  if (spec.name === 'randomApply') {
    const { p, transforms } = checked(randomApplySchema, spec, where);
    const steps = (transforms as TransformSpec[]).map((inner, index) =>
      pixelStep(inner, `${where}.transforms[${index}]`),
    );
    return (image, rng) => (rng.chance(p) ? steps.reduce((out, step) => step(out, rng), image) : image);
  }
  if (!Object.hasOwn(PIXEL_TRANSFORMS, spec.name)) {
    const meant = nearest(spec.name, TRANSFORM_NAMES);
    throw new UsageError(
      TRANSFORM_NAMES.includes(spec.name)
        ? `${where}: ${spec.name} cannot stand inside randomApply.`
        : `${where}: there is no transform ${JSON.stringify(spec.name)}${meant ? `; did you mean ${meant}` : ''}. ` +
            `There are ${TRANSFORM_NAMES.join(', ')}.`,
    );
  }
  const { schema, apply } = PIXEL_TRANSFORMS[spec.name as keyof typeof PIXEL_TRANSFORMS];
  const ready = checked(schema, spec, where);
  return (image, rng) => apply(image, ready as never, rng);
}

function erasing(spec: z.output<typeof randomErasingSchema>): FloatStep {
  const constant = typeof spec.value === 'number' ? ([spec.value, spec.value, spec.value] as const) : spec.value;
  const [lowest, highest] = [Math.log(spec.ratio[0]), Math.log(spec.ratio[1])];
  return (image, rng) => {
    if (!rng.chance(spec.p)) return;
    for (let attempt = 0; attempt < 10; attempt++) {
      const target = image.height * image.width * rng.uniform(spec.scale[0], spec.scale[1]);
      const aspect = Math.exp(rng.uniform(lowest, highest));
      const height = Math.round(Math.sqrt(target * aspect));
      const width = Math.round(Math.sqrt(target / aspect));
      if (height >= image.height || width >= image.width) continue;
      const top = rng.integer(image.height - height + 1);
      const left = rng.integer(image.width - width + 1);
      if (constant !== 'random') erase(image, { top, left, height, width }, constant);
      else noise(image, { top, left, height, width }, rng);
      return;
    }
  };
}

function noise(image: FloatImage, box: { top: number; left: number; height: number; width: number }, rng: Rng): void {
  for (let y = box.top; y < box.top + box.height; y++) {
    const row = image.offset + (y * image.width + box.left) * 3;
    for (let i = row; i < row + box.width * 3; i++) image.data[i] = rng.normal();
  }
}
