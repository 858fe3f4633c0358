// Data that ask where and not what: each image of another set, made small and laid somewhere on a canvas; its class is
// the cell of the canvas in which its middle lies. A model that does not know the places of its patches cannot tell.
import { UsageError } from '../errors.js';
import { Rng } from '../random/index.js';
import { checksumOf, type Dataset, sharedImage } from './dataset.js';
import type { Image } from './image.js';
import { resize } from './transforms/resize.js';

export interface PlacedOptions {
  /** Side of the canvas in pixels. Default 32. */
  canvas?: number;
  /** Side of the picture on it. Default 12; at the border a part of it may lie outside. */
  picture?: number;
  /** Cells along a side, so that there are cells² classes. Default 4. */
  cells?: number;
  /** Default 0. */
  seed?: number;
}

/** Pixels between a picture's middle and the border of its cell: nearer ones could be either's. */
const MARGIN = 1;

/**
 * As many images as `source` has, every cell as often as the others, drawn at once and held in memory. Ground and place
 * follow from (seed, split, index).
 * @throws UsageError where the cells do not divide the canvas, or leave no room for a middle; DataError as `source`
 */
export async function placedDataset(source: Dataset, options: PlacedOptions = {}): Promise<Dataset> {
  const { canvas = 32, picture = 12, cells = 4, seed = 0 } = options;
  const cell = canvas / cells;
  const whole = [canvas, picture, cells, cell].every((value) => Number.isInteger(value) && value > 0);
  if (!whole || cell <= 2 * MARGIN || picture > canvas) {
    throw new UsageError(
      `A canvas of ${canvas} pixels with ${cells} x ${cells} cells and pictures of ${picture} pixels cannot be: cells ` +
        `divide the canvas and are larger than ${2 * MARGIN} pixels, pictures are no larger than it.`,
    );
  }
  const { split } = source.description;
  const size = canvas * canvas * 3;
  const shared = { pixels: new SharedArrayBuffer(source.length * size), height: canvas, width: canvas };
  const label = (index: number): number => index % (cells * cells);
  for (let index = 0; index < source.length; index++) {
    const rng = new Rng(seed, `placed/${split}`, index);
    const small = resize(await source.image(index), picture, picture, 'bilinear');
    const middle = (at: number): number => at * cell + rng.uniform(MARGIN, cell - MARGIN) - picture / 2;
    const top = Math.round(middle(Math.floor(label(index) / cells)));
    const left = Math.round(middle(label(index) % cells));
    const image = sharedImage(shared, index);
    paintGround(image, rng);
    paste(image, small, top, left);
  }
  const classes = Array.from(
    { length: cells * cells },
    (_, i) => `row ${Math.floor(i / cells) + 1}, column ${(i % cells) + 1}`,
  );
  const checksum = checksumOf([source.description.checksum, JSON.stringify({ canvas, picture, cells, seed })]);
  return {
    name: `placed ${source.name}`,
    classes,
    length: source.length,
    description: { ...source.description, classes, checksum },
    shared,
    label,
    image: (index) => sharedImage(shared, index),
  };
}

/** Nearly black, with a little grain: on lighter grounds of any grey, finding the picture is what takes time to learn. */
function paintGround(image: Image, rng: Rng): void {
  for (let i = 0; i < image.data.length; i += 3) image.data.fill(rng.integer(33), i, i + 3);
}

function paste(onto: Image, image: Image, top: number, left: number): void {
  for (let y = Math.max(0, -top); y < Math.min(image.height, onto.height - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(image.width, onto.width - left); x++) {
      const from = (y * image.width + x) * 3;
      onto.data.set(image.data.subarray(from, from + 3), ((y + top) * onto.width + x + left) * 3);
    }
  }
}
