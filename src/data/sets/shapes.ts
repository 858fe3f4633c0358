// The embedded data sets: 32 × 32 colour images drawn by code from a seed. `shapes100` has 100 classes, ten outlines
// times ten fill patterns; `shapes10` has ten other outlines, filled with any pattern. So a model pre-trained on the
// first has learned to see outlines apart from colour and pattern, which is what the second asks for.
//
// What does not tell the class: hues, size, tilt and the second colour of the pattern (random within bounds), and the
// place: a shape lies anywhere, even partly outside. Strokes of random colour lie behind it and grain over everything.
// Only that a shape is lighter than its ground is fixed: without it a transformer needs thousands of steps before it
// sees outlines at all. A linear model on the pixels of `shapes10` stays near 0.2, where chance is 0.1 (tested); a
// transformer of width 96 and depth 4 passes that within a few epochs.
import { UsageError } from '../../errors.js';
import { Rng } from '../../random/index.js';
import { checksumOf, type Dataset, type DatasetDescription, type Split } from '../dataset.js';
import { blankImage, type Image } from '../image.js';
import { onlyParameters, type ParsedSpec, wholeParameter } from '../spec.js';
import { SHAPES_A, SHAPES_B, signedDistance } from './shapeOutlines.js';

const SHAPE_SIDE = 32;
/** Changes whenever a drawn image would: it is part of the checksum. */
const DRAWING_VERSION = 3;
const DEFAULT_LENGTH: Record<Split, number> = { train: 10_000, test: 2_000 };

/** Where a pattern shows the second colour (1), the first (0), or the ground (-1); x, y and depth in shape units. */
type Pattern = (x: number, y: number, depth: number) => number;

const PATTERNS: Readonly<Record<string, Pattern>> = {
  solid: () => 0,
  outline: (_x, _y, depth) => (depth < 0.24 ? 0 : -1),
  stripes: (x) => wave(x / 0.5),
  checker: (x, y) => (wave(x / 0.8) + wave(y / 0.8)) % 2,
  dots: (x, y) => (square(centred(x / 0.55)) + square(centred(y / 0.55)) < 0.1 ? 1 : 0),
  rings: (_x, _y, depth) => wave(depth / 0.32),
  halves: (x) => (x > 0 ? 1 : 0),
  wedges: (x, y) => (x * y > 0 ? 1 : 0),
  gradient: (x) => Math.min(1, Math.max(0, 0.5 + x * 0.65)),
  grid: (x, y) => (Math.abs(centred(x / 0.6)) < 0.16 || Math.abs(centred(y / 0.6)) < 0.16 ? 1 : 0),
};

/** 0 and 1 in turn, each over half a unit. */
function wave(t: number): number {
  return t - Math.floor(t) < 0.5 ? 0 : 1;
}

/** The distance to the nearest whole number, signed: -0.5 … 0.5. */
function centred(t: number): number {
  return t - Math.round(t);
}

// not Math.hypot or **, whose last bits differ between versions of the JavaScript engine
function square(t: number): number {
  return t * t;
}

type Colour = readonly [number, number, number];

interface ShapeClass {
  outline: Float64Array;
  /** Undefined: any pattern, drawn by lot. */
  pattern: Pattern | undefined;
}

const CLASSES: Readonly<Record<string, ReadonlyMap<string, ShapeClass>>> = {
  shapes100: new Map(
    Object.entries(SHAPES_A).flatMap(([shape, outline]) =>
      Object.entries(PATTERNS).map(([name, pattern]) => [`${name} ${shape}`, { outline, pattern }] as const),
    ),
  ),
  shapes10: new Map(Object.entries(SHAPES_B).map(([shape, outline]) => [shape, { outline, pattern: undefined }])),
};

/** Opens `shapes10` or `shapes100`, with `?train=N&test=N&seed=N`. */
export function openShapes(spec: string, parsed: ParsedSpec, split: Split, root: string): Dataset {
  onlyParameters(spec, parsed, ['train', 'test', 'seed']);
  const name = parsed.name;
  const classes = CLASSES[name];
  if (!classes) throw new UsageError(`There is no drawn data set ${name}.`);
  const names = [...classes.keys()];
  const kinds = [...classes.values()];
  const seed = wholeParameter(spec, parsed, 'seed', 0, 0);
  const lengths = {
    train: wholeParameter(spec, parsed, 'train', DEFAULT_LENGTH.train, 1),
    test: wholeParameter(spec, parsed, 'test', DEFAULT_LENGTH.test, 1),
  };
  const length = lengths[split];
  const checksum = checksumOf([JSON.stringify({ name, split, seed, length, drawing: DRAWING_VERSION })]);
  const description: DatasetDescription = { spec, split, root, length, classes: names, checksum };
  return {
    name,
    classes: names,
    length,
    description,
    label: (index) => index % names.length,
    image: (index) => drawShape(kinds[index % names.length]!, new Rng(seed, `${name}/${split}`, index)),
  };
}

/** Draws one image: ground, strokes, the shape, grain. */
function drawShape(kind: ShapeClass, rng: Rng): Image {
  const ground = randomColour(rng, 10, 110);
  const first = randomColour(rng, 150, 245);
  const second = randomColour(rng, 60, 160);
  const canvas = new Float64Array(SHAPE_SIDE * SHAPE_SIDE * 3);
  paintGround(canvas, ground, rng);
  const strokes = rng.integer(3);
  for (let i = 0; i < strokes; i++) paintStroke(canvas, rng);
  const patterns = Object.values(PATTERNS);
  const pattern = kind.pattern ?? patterns[rng.integer(patterns.length)]!;
  paintShape(canvas, kind.outline, pattern, first, second, rng);
  const image = blankImage(SHAPE_SIDE, SHAPE_SIDE);
  const grain = rng.uniform(2, 8);
  for (let i = 0; i < canvas.length; i += 3) {
    const noise = rng.uniform(-grain, grain);
    for (let channel = 0; channel < 3; channel++) {
      image.data[i + channel] = Math.min(255, Math.max(0, canvas[i + channel]! + noise + 0.5));
    }
  }
  return image;
}

function randomColour(rng: Rng, low = 20, high = 235): Colour {
  return [rng.uniform(low, high), rng.uniform(low, high), rng.uniform(low, high)];
}

/** A colour that drifts to one side and ripples a little. */
function paintGround(canvas: Float64Array, colour: Colour, rng: Rng): void {
  const direction = rng.uniform(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(direction), Math.sin(direction)];
  const drift = rng.uniform(0, 30);
  const ripple = rng.uniform(0, 14);
  const frequency = rng.uniform(0.3, 1.2);
  const phase = rng.uniform(0, 2 * Math.PI);
  for (let y = 0; y < SHAPE_SIDE; y++) {
    for (let x = 0; x < SHAPE_SIDE; x++) {
      const along = ((x - 15.5) * dx + (y - 15.5) * dy) / 16;
      const across = (x - 15.5) * dy - (y - 15.5) * dx;
      const shade = drift * along + ripple * Math.sin(frequency * across + phase);
      const at = (y * SHAPE_SIDE + x) * 3;
      for (let channel = 0; channel < 3; channel++) canvas[at + channel] = colour[channel]! + shade;
    }
  }
}

/** A short thick line of random colour anywhere: something that is no shape. */
function paintStroke(canvas: Float64Array, rng: Rng): void {
  const colour = randomColour(rng);
  const angle = rng.uniform(0, 2 * Math.PI);
  const reach = rng.uniform(1, 5);
  const [cx, cy] = [rng.uniform(0, SHAPE_SIDE), rng.uniform(0, SHAPE_SIDE)];
  const [dx, dy] = [reach * Math.cos(angle), reach * Math.sin(angle)];
  const line = Float64Array.of(cx - dx, cy - dy, cx + dx, cy + dy);
  const thickness = rng.uniform(0.6, 1.3);
  const span = Math.ceil(reach + thickness + 1);
  forPixels(cx, cy, span, (x, y, at) => {
    const cover = coverage(Math.abs(signedDistance(line, x, y)) - thickness);
    if (cover > 0) mix(canvas, at, colour, cover);
  });
}

function paintShape(
  canvas: Float64Array,
  outline: Float64Array,
  pattern: Pattern,
  first: Colour,
  second: Colour,
  rng: Rng,
): void {
  const radius = rng.uniform(8, 11);
  const [cx, cy] = [rng.uniform(7, 25), rng.uniform(7, 25)];
  const angle = rng.uniform(-0.3, 0.3);
  const [cos, sin] = [Math.cos(angle) / radius, Math.sin(angle) / radius];
  const colour: [number, number, number] = [0, 0, 0];
  forPixels(cx, cy, Math.ceil(radius + 1), (x, y, at) => {
    const u = (x - cx) * cos + (y - cy) * sin;
    const v = (y - cy) * cos - (x - cx) * sin;
    const distance = signedDistance(outline, u, v);
    const cover = coverage(distance * radius);
    if (cover === 0) return;
    const share = pattern(u, v, -distance);
    if (share < 0) return;
    for (let channel = 0; channel < 3; channel++) {
      colour[channel] = first[channel]! + (second[channel]! - first[channel]!) * share;
    }
    mix(canvas, at, colour, cover);
  });
}

/** How much of a pixel lies inside an edge at this distance (in pixels, negative inside). */
function coverage(distance: number): number {
  return Math.min(1, Math.max(0, 0.5 - distance));
}

function mix(canvas: Float64Array, at: number, colour: Colour, share: number): void {
  for (let channel = 0; channel < 3; channel++) {
    canvas[at + channel] = canvas[at + channel]! * (1 - share) + colour[channel]! * share;
  }
}

/** Visits the pixels of the square about (cx, cy), by their centres. */
function forPixels(cx: number, cy: number, span: number, visit: (x: number, y: number, at: number) => void): void {
  const y1 = Math.min(SHAPE_SIDE - 1, Math.floor(cy + span));
  const x1 = Math.min(SHAPE_SIDE - 1, Math.floor(cx + span));
  for (let y = Math.max(0, Math.floor(cy - span)); y <= y1; y++) {
    for (let x = Math.max(0, Math.floor(cx - span)); x <= x1; x++) visit(x + 0.5, y + 0.5, (y * SHAPE_SIDE + x) * 3);
  }
}
