// Heat maps over images: a coarse grid of values, such as attention over patches, as colour on the image it belongs to.
import { ShapeError } from '../errors.js';
import { type Tile, tileBytes } from './images.js';
import { HEAT_COLORS } from './style.js';

/** A grid of values `[height, width]`, row by row, that covers the whole image. */
export interface HeatGrid {
  readonly values: ArrayLike<number>;
  readonly height: number;
  readonly width: number;
}

export interface OverlayOptions {
  /** The values that get the first and the last colour. Default: smallest and largest of the grid. */
  readonly heatRange?: readonly [number, number];
  /** Range of the image's floats, as for `imageGridFigure`. */
  readonly range?: readonly [number, number];
  /** Share of the colour against the image, 0…1. Default 0.7. */
  readonly opacity?: number;
}

/**
 * The image in grey with the heat over it, the grid enlarged bilinearly to the image. The label is kept.
 * @throws ShapeError where the grid has not height × width values, or the image not height × width × 3
 */
export function overlayHeat(tile: Tile, heat: HeatGrid, options: OverlayOptions = {}): Tile {
  const { values, height: rows, width: columns } = heat;
  if (values.length !== rows * columns) {
    throw new ShapeError(`A heat map of ${rows} × ${columns} has ${rows * columns} values, but got ${values.length}.`);
  }
  const { height, width, label } = tile;
  const [low, high] = options.heatRange ?? extent(values);
  const opacity = options.opacity ?? 0.7;
  const from = tileBytes(tile, options.range);
  const pixels = new Uint8Array(from.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const value = bilinear(heat, ((y + 0.5) * rows) / height - 0.5, ((x + 0.5) * columns) / width - 0.5);
      const color = heatColor(high > low ? (value - low) / (high - low) : 0);
      // Rec. 601 luma
      const grey = 0.299 * from[at]! + 0.587 * from[at + 1]! + 0.114 * from[at + 2]!;
      for (let c = 0; c < 3; c++) pixels[at + c] = Math.round((1 - opacity) * grey + opacity * color[c]!);
    }
  }
  return { pixels, height, width, ...(label !== undefined && { label }) };
}

/** The value at a place between cells; beyond the outermost centres it stays. */
function bilinear({ values, height, width }: HeatGrid, y: number, x: number): number {
  const [cy, cx] = [clamp(y, height - 1), clamp(x, width - 1)];
  const [top, left] = [Math.floor(cy), Math.floor(cx)];
  const [bottom, right] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)];
  const along = (row: number): number => {
    const [a, b] = [values[row * width + left]!, values[row * width + right]!];
    return a + (b - a) * (cx - left);
  };
  const [a, b] = [along(top), along(bottom)];
  return a + (b - a) * (cy - top);
}

const clamp = (value: number, high: number): number => Math.min(Math.max(value, 0), high);

const RGB = HEAT_COLORS.map((color) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)));

/** The colour of a share between 0 and 1, as bytes. */
function heatColor(share: number): number[] {
  const place = clamp(Number.isFinite(share) ? share : 0, 1) * (RGB.length - 1);
  const below = Math.min(Math.floor(place), RGB.length - 2);
  return RGB[below]!.map((value, c) => value + (RGB[below + 1]![c]! - value) * (place - below));
}

function extent(values: ArrayLike<number>): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  return [low, high];
}
