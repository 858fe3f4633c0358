// Initialisers: functions of a generator and a shape. Fans are PyTorch's, of weights
// `[out, in, ...kernel]`.
import type { Rng } from '../random/index.js';

/** Draws the entries of a tensor of `shape`, in row-major order. */
export type Initializer = (rng: Rng, shape: readonly number[]) => Float32Array;

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const drawn =
  (draw: (rng: Rng) => number): Initializer =>
  (rng, shape) => {
    const values = new Float32Array(sizeOf(shape));
    for (let i = 0; i < values.length; i++) values[i] = draw(rng);
    return values;
  };

export const constant =
  (value: number): Initializer =>
  (_rng, shape) =>
    new Float32Array(sizeOf(shape)).fill(value);

export const zeros = constant(0);
export const ones = constant(1);

/** Fixed entries, for tables that a module computes. */
export const values =
  (table: Float32Array): Initializer =>
  () =>
    table;

/** Normal with mean 0. */
export const normal = (std: number): Initializer => drawn((rng) => rng.normal(0, std));

/** Uniform in [-bound, bound). */
export const uniform = (bound: number): Initializer => drawn((rng) => rng.uniform(-bound, bound));

/** timm's `trunc_normal_`: normal with mean 0, redrawn outside the absolute bounds ±2. */
export const truncatedNormal = (std = 0.02, bound = 2): Initializer =>
  drawn((rng) => rng.truncatedNormal(0, std, -bound, bound));

/** Inputs and outputs of a weight `[out, in, ...kernel]`, each times the kernel's size. */
export function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  const kernel = sizeOf(shape.slice(2));
  return { fanIn: (shape[1] ?? 1) * kernel, fanOut: (shape[0] ?? 1) * kernel };
}

/** Glorot's uniform for `parts` matrices one under the other in one weight, each by its own fans. */
export const xavierOfParts =
  (parts: number): Initializer =>
  (rng, shape) => {
    const { fanIn, fanOut } = fans(shape);
    return uniform(Math.sqrt(6 / (fanIn + fanOut / parts)))(rng, shape);
  };

/** Glorot's uniform: ±√(6 / (fanIn + fanOut)). */
export const xavierUniform = xavierOfParts(1);

/** He's uniform for a leaky rectifier of slope `a`: ±√(6 / ((1 + a²) · fanIn)). PyTorch's layers use a = √5. */
export const kaimingUniform =
  (a = Math.sqrt(5)): Initializer =>
  (rng, shape) =>
    uniform(Math.sqrt(6 / ((1 + a * a) * fans(shape).fanIn)))(rng, shape);
