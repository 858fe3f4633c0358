// Grids of images as one figure: the tiles become a single PNG, their labels annotations above them.
import type { Layout } from 'plotly.js-dist-min';
import { ShapeError } from '../errors.js';
import type { Figure } from './figures.js';
import { encodePng } from './png.js';
import { baseLayout, escapeMarkup, HEAT_SCALE } from './style.js';

/**
 * Images `[height, width, 3]`. Bytes are 0…255; floats are scaled so that `range` (default 0…1) becomes 0…255, and
 * values outside it are clipped.
 */
export interface Tile {
  readonly pixels: Uint8Array | Uint8ClampedArray | Float32Array;
  readonly height: number;
  readonly width: number;
  readonly label?: string;
}

export interface ImageGridOptions {
  readonly title?: string;
  /** Tiles in a row; default: about as many as there are rows. */
  readonly columns?: number;
  readonly range?: readonly [number, number];
  /** What the colours of overlaid heat maps mean: a bar beside the grid. */
  readonly colorbar?: { readonly label: string; readonly range: readonly [number, number] };
}

const GAP = 2;
/** Small images are enlarged to about this many pixels with hard edges; viewers would blur them. */
const MIN_PIXELS = 96;
/** Space for a label above its tile, in tile heights. */
const LABEL_SHARE = 0.22;

/** A grid of equally sized images with labels. @throws ShapeError where sizes differ or there is no image. */
export function imageGridFigure(tiles: readonly Tile[], options: ImageGridOptions = {}): Figure {
  const first = tiles[0];
  if (!first) throw new ShapeError('An image grid needs at least one image, but got none.');
  const { width, height } = first;
  const columns = Math.min(tiles.length, options.columns ?? Math.ceil(Math.sqrt(tiles.length)));
  const rows = Math.ceil(tiles.length / columns);
  const labelled = tiles.some(({ label }) => label);
  const labelHeight = labelled ? Math.max(3, Math.round(height * LABEL_SHARE)) : 0;
  const [stepX, stepY] = [width + GAP, height + labelHeight + GAP];
  const [totalX, totalY] = [columns * stepX - GAP, rows * stepY - GAP];

  const tilesAt = tiles.map((tile, index) => {
    if (tile.width !== width || tile.height !== height) {
      throw new ShapeError(
        `Image ${index} is ${tile.width} × ${tile.height}, but the first is ${width} × ${height}: a grid needs one size.`,
      );
    }
    return { tile, x: (index % columns) * stepX, y: Math.floor(index / columns) * stepY };
  });
  const images = tilesAt.map(({ tile, x, y }) => ({
    source: tileSource(tile, options.range),
    x,
    y: y + labelHeight,
    sizex: width,
    sizey: height,
    xref: 'x' as const,
    yref: 'y' as const,
    xanchor: 'left' as const,
    yanchor: 'top' as const,
    sizing: 'stretch' as const,
    layer: 'above' as const,
  }));
  const annotations = tilesAt
    .filter(({ tile }) => tile.label)
    .map(({ tile, x, y }) => ({
      text: escapeMarkup(tile.label!),
      x: x + width / 2,
      y: y + labelHeight,
      xanchor: 'center' as const,
      yanchor: 'bottom' as const,
      showarrow: false,
      font: { size: 11 },
    }));
  const hidden = { visible: false, fixedrange: true };
  const layout: Partial<Layout> = {
    ...baseLayout(options.title),
    images,
    annotations,
    height: Math.round(Math.min(900, Math.max(160, (totalY / totalX) * 640))) + (options.title ? 72 : 32),
    xaxis: { ...hidden, range: [0, totalX], constrain: 'domain' },
    yaxis: { ...hidden, range: [totalY, 0], scaleanchor: 'x', constrain: 'domain' },
    margin: { t: options.title ? 48 : 8, r: 8, b: 16, l: 8 },
    showlegend: false,
  };
  // Plotly lays out axes only where a trace uses them.
  const corners = { type: 'scatter' as const, mode: 'markers' as const, x: [0, totalX], y: [0, totalY] };
  const marker = { opacity: 0, ...(options.colorbar && colorScale(options.colorbar)) };
  return { data: [{ ...corners, marker, hoverinfo: 'skip' }], layout };
}

function colorScale({ label, range: [low, high] }: NonNullable<ImageGridOptions['colorbar']>) {
  const colorbar = { title: { text: label, side: 'right' as const }, thickness: 12, outlinewidth: 0 };
  return { color: [low, high], cmin: low, cmax: high, colorscale: HEAT_SCALE, showscale: true, colorbar };
}

function tileSource(tile: Tile, range: ImageGridOptions['range']): string {
  const { width, height } = tile;
  const factor = Math.max(1, Math.ceil(MIN_PIXELS / Math.max(width, height)));
  const rgb = enlarged(tileBytes(tile, range), width, height, factor);
  return `data:image/png;base64,${encodePng(rgb, width * factor, height * factor).toString('base64')}`;
}

function enlarged(rgb: Uint8Array, width: number, height: number, factor: number): Uint8Array {
  const large = new Uint8Array(rgb.length * factor * factor);
  for (let y = 0, to = 0; y < height * factor; y++) {
    for (let x = 0; x < width * factor; x++, to += 3) {
      const from = 3 * (Math.floor(y / factor) * width + Math.floor(x / factor));
      large.set(rgb.subarray(from, from + 3), to);
    }
  }
  return large;
}

/** The pixels of a tile as bytes. @throws ShapeError where there are not height × width × 3 values */
export function tileBytes(
  { pixels, width, height }: Tile,
  [low, high]: readonly [number, number] = [0, 1],
): Uint8Array {
  if (pixels.length !== width * height * 3) {
    throw new ShapeError(
      `An image of [${height}, ${width}, 3] has ${width * height * 3} values, but got ${pixels.length}.`,
    );
  }
  if (!(pixels instanceof Float32Array)) return Uint8Array.from(pixels);
  // A clamped array rounds, and clips to 0…255.
  return new Uint8Array(Uint8ClampedArray.from(pixels, (value) => ((value - low) / (high - low)) * 255));
}
