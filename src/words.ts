// Numbers with their nouns, for texts that are put together from what was counted.

/** A number and its noun: `1 epoch`, `2,000 images`, and with a plural that is no `s`, `1 class`, `10 classes`. */
export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : many}`;
}
