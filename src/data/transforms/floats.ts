// The step from 8-bit pixels to float32, and what happens after it.

/** CIFAR's mean and standard deviation as the AdaptFormer reproduction states them. */
export const CIFAR_MEAN = [0.5071, 0.4865, 0.4409] as const;
export const CIFAR_STD = [0.1942, 0.1918, 0.1958] as const;
/** The usual statistics of ImageNet. */
export const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
export const IMAGENET_STD = [0.229, 0.224, 0.225] as const;

/** For every channel and 8-bit value its normalised float: (value / 255 - mean) / std, [3 × 256]. */
export function normalizeTable(mean: readonly number[], std: readonly number[]): Float32Array {
  const table = new Float32Array(768);
  for (let channel = 0; channel < 3; channel++) {
    for (let value = 0; value < 256; value++) {
      const centred = Math.fround(Math.fround(value / 255) - Math.fround(mean[channel]!));
      table[channel * 256 + value] = centred / Math.fround(std[channel]!);
    }
  }
  return table;
}

/** Writes pixels (HWC) through the table into `out` from `offset` on, HWC as well. */
export function normalizeInto(pixels: Uint8Array, table: Float32Array, out: Float32Array, offset: number): void {
  for (let i = 0; i < pixels.length; i += 3) {
    out[offset + i] = table[pixels[i]!]!;
    out[offset + i + 1] = table[256 + pixels[i + 1]!]!;
    out[offset + i + 2] = table[512 + pixels[i + 2]!]!;
  }
}

/** A float image of height × width × 3 that lies in a larger array from `offset` on. */
export interface FloatImage {
  data: Float32Array;
  offset: number;
  height: number;
  width: number;
}

/** Overwrites a rectangle with one value a channel, in place. */
export function erase(
  image: FloatImage,
  box: { top: number; left: number; height: number; width: number },
  value: readonly [number, number, number],
): void {
  for (let y = box.top; y < Math.min(image.height, box.top + box.height); y++) {
    for (let x = box.left; x < Math.min(image.width, box.left + box.width); x++) {
      const at = image.offset + (y * image.width + x) * 3;
      image.data[at] = value[0];
      image.data[at + 1] = value[1];
      image.data[at + 2] = value[2];
    }
  }
}
