// `vitlab inspect FILE`: lists what a checkpoint holds without loading it.
import { Command } from 'commander';
import { type Contents, inspectCheckpoint } from '../checkpoint/index.js';
import { plural } from '../words.js';

/** The `inspect` command. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('list what a checkpoint (.safetensors, .pth, .npz) holds without loading it')
    .argument('<file>', 'checkpoint file')
    .option('--json', 'as JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const contents = await inspectCheckpoint(file);
      console.log(options.json ? JSON.stringify(contents, undefined, 2) : listing(file, contents));
    });
}

function listing(file: string, { format, tensors, values, naming, elements, bytes }: Contents): string {
  const width = Math.max(0, ...tensors.map(({ name }) => printable(name).length));
  return [
    `${file}: ${format}${naming ? `, names as in ${naming}` : ''}`,
    ...tensors.map(({ name, dtype, shape }) => `  ${printable(name).padEnd(width)}  ${dtype.padEnd(8)}  [${shape}]`),
    ...values.map(([name, value]) => `  ${printable(name)} = ${printable(value).slice(0, 200)}`),
    `${plural(tensors.length, 'tensor')}, ${plural(elements, 'element')}, ${(bytes / 2 ** 20).toFixed(1)} MiB`,
  ].join('\n');
}

/** Text of a file nobody vouches for, without characters that could steer a terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
