// Sizes that are given as one number for both directions or as [vertical, horizontal].

export type Size = number | readonly [number, number];

/** Both directions of a size. */
export const pair = (size: Size): readonly [number, number] => (typeof size === 'number' ? [size, size] : size);
