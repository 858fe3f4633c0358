// The outlines of the drawn shapes: polygons about the origin, within the unit circle, [x0, y0, x1, y1, …].

type Point = readonly [number, number];

function polygon(points: readonly Point[]): Float64Array {
  return Float64Array.from(points.flat());
}

/** Points on a curve, `radius` as a function of the angle. */
function polar(corners: number, radius: (angle: number, index: number) => number): Float64Array {
  return polygon(
    Array.from({ length: corners }, (_, i): Point => {
      const angle = (2 * Math.PI * i) / corners - Math.PI / 2;
      const r = radius(angle, i);
      return [r * Math.cos(angle), r * Math.sin(angle)];
    }),
  );
}

function heart(): Float64Array {
  return polygon(
    Array.from({ length: 20 }, (_, i): Point => {
      const t = (2 * Math.PI * i) / 20;
      const sin = Math.sin(t);
      const x = 16 * sin * sin * sin;
      const y = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t);
      return [x / 17, -(y + 2) / 17];
    }),
  );
}

function crescent(): Float64Array {
  const outer = Array.from({ length: 12 }, (_, i): Point => {
    const angle = ((60 + (240 * i) / 11) * Math.PI) / 180;
    return [Math.cos(angle) + 0.25, Math.sin(angle)];
  });
  const inner = outer.map(([x, y]): Point => [x * 0.35 + 0.25 * 0.65 - 0.163 + 0.12, y]).reverse();
  return polygon([...outer, ...inner.slice(1, -1)]);
}

function halfDisc(): Float64Array {
  return polygon(
    Array.from({ length: 13 }, (_, i): Point => {
      const angle = (Math.PI * i) / 12;
      return [Math.cos(angle), Math.sin(angle) - 0.4];
    }),
  );
}

function drop(): Float64Array {
  return polar(20, (angle) => {
    const up = Math.max(0, -Math.sin(angle));
    return 0.55 + 0.45 * (up * up * up) * (up * up * up);
  });
}

/** The ten shapes of the pre-training set `shapes100`. */
export const SHAPES_A: Readonly<Record<string, Float64Array>> = {
  disc: polar(20, () => 0.85),
  triangle: polar(3, () => 1),
  square: polar(4, () => 1),
  star: polar(10, (_, i) => (i % 2 === 0 ? 1 : 0.42)),
  plus: polygon([
    ...([
      [-0.3, -0.95],
      [0.3, -0.95],
      [0.3, -0.3],
      [0.95, -0.3],
      [0.95, 0.3],
      [0.3, 0.3],
    ] as const),
    ...([
      [0.3, 0.95],
      [-0.3, 0.95],
      [-0.3, 0.3],
      [-0.95, 0.3],
      [-0.95, -0.3],
      [-0.3, -0.3],
    ] as const),
  ]),
  heart: heart(),
  crescent: crescent(),
  arrow: polygon([
    [0, -1],
    [0.8, -0.1],
    [0.3, -0.1],
    [0.3, 0.95],
    [-0.3, 0.95],
    [-0.3, -0.1],
    [-0.8, -0.1],
  ]),
  halfdisc: halfDisc(),
  bar: polygon([
    [-1, -0.33],
    [1, -0.33],
    [1, 0.33],
    [-1, 0.33],
  ]),
};

/** The ten shapes of the transfer set `shapes10`; none of them is in `SHAPES_A`. */
export const SHAPES_B: Readonly<Record<string, Float64Array>> = {
  ellipse: polar(20, (angle) => 0.5 / Math.sqrt(1 - 0.75 * Math.sin(angle) * Math.sin(angle))),
  tee: polygon([
    [-0.95, -0.9],
    [0.95, -0.9],
    [0.95, -0.3],
    [0.3, -0.3],
    [0.3, 0.95],
    [-0.3, 0.95],
    [-0.3, -0.3],
    [-0.95, -0.3],
  ]),
  ell: polygon([
    [-0.7, -0.95],
    [-0.1, -0.95],
    [-0.1, 0.35],
    [0.8, 0.35],
    [0.8, 0.95],
    [-0.7, 0.95],
  ]),
  zed: polygon([
    [-0.9, -0.9],
    [0.3, -0.9],
    [0.3, 0.3],
    [0.9, 0.3],
    [0.9, 0.9],
    [-0.3, 0.9],
    [-0.3, -0.3],
    [-0.9, -0.3],
  ]),
  bowtie: polygon([
    [-0.95, -0.75],
    [0, -0.15],
    [0.95, -0.75],
    [0.95, 0.75],
    [0, 0.15],
    [-0.95, 0.75],
  ]),
  chevron: polygon([
    [-0.9, 0.1],
    [0, -0.8],
    [0.9, 0.1],
    [0.9, 0.8],
    [0, -0.1],
    [-0.9, 0.8],
  ]),
  drop: drop(),
  spark: polar(8, (_, i) => (i % 2 === 0 ? 1 : 0.32)),
  clover: polar(24, (angle) => 0.65 + 0.35 * Math.cos(3 * angle + Math.PI / 2)),
  ring: polygon([
    ...Array.from(
      { length: 17 },
      (_, i): Point => [0.95 * Math.cos((Math.PI * i) / 8), 0.95 * Math.sin((Math.PI * i) / 8)],
    ),
    ...Array.from(
      { length: 17 },
      (_, i): Point => [0.45 * Math.cos((Math.PI * i) / 8), -0.45 * Math.sin((Math.PI * i) / 8)],
    ),
  ]),
};

/**
 * The signed distance of a point to a closed outline, in units of the outline: negative inside. Inside means an odd
 * number of edges to one side.
 */
export function signedDistance(outline: Float64Array, x: number, y: number): number {
  let nearest = Infinity;
  let inside = false;
  let x0 = outline[outline.length - 2]!;
  let y0 = outline[outline.length - 1]!;
  for (let i = 0; i < outline.length; i += 2) {
    const x1 = outline[i]!;
    const y1 = outline[i + 1]!;
    const [ex, ey, px, py] = [x1 - x0, y1 - y0, x - x0, y - y0];
    const along = Math.min(1, Math.max(0, (px * ex + py * ey) / (ex * ex + ey * ey || 1)));
    const dx = px - ex * along;
    const dy = py - ey * along;
    nearest = Math.min(nearest, dx * dx + dy * dy);
    if (y0 > y !== y1 > y && x < x0 + (ex * (y - y0)) / ey) inside = !inside;
    x0 = x1;
    y0 = y1;
  }
  return inside ? -Math.sqrt(nearest) : Math.sqrt(nearest);
}
